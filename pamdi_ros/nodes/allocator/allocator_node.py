# SPDX-License-Identifier: Apache-2.0
"""The allocator: computes who holds and runs what, and publishes it as a latched Assignment."""

from __future__ import annotations

from dataclasses import fields, replace
import os
from pathlib import Path
import secrets
import time
from typing import Any, NoReturn

from diagnostic_msgs.msg import DiagnosticArray
from pamdi_ros.allocation import digest, read_record, Record, with_priorities, write_record
from pamdi_ros.allocation.replanning.decision import ReplanParameters
from pamdi_ros.allocation.replanning.fleet_conditions import FleetConditions
from pamdi_ros.allocation.replanning.succession import allocator_id, CHANCE_BITS, Succession
from pamdi_ros.assignment import Edition, Plan
from pamdi_ros.fleet import Fleet
from pamdi_ros.msg import Assignment, SourceStats, WorkerStatus
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.allocator.planning import Planning, PlanningDecision
from pamdi_ros.nodes.allocator.report import allocator_diagnostics
from pamdi_ros.nodes.conversions import heartbeat_message as heartbeat_message
from pamdi_ros.nodes.conversions.assignment_message import from_message, to_message
from pamdi_ros.nodes.fleet_node import FleetNode, run
from pamdi_ros.nodes.priorities import PREFIX, PriorityParameters
from pamdi_ros.nodes.sparing_log import ChangeLog, Complaints, REPEAT_PERIOD_S
from pamdi_ros.nodes.steady import STEADY
from pamdi_ros.nodes.wire import BadMessage
from pamdi_ros.worker.epochs import disbelief, is_believable, newest_epoch
from std_srvs.srv import Trigger

POLL_PERIOD_S = 0.1
#: Without a remembered epoch, workers that run already are given this time to tell theirs, and an
#: allocator whose assignment they follow to be heard [s].
LISTEN_S = 2.0
#: Workers that follow a later assignment are overtaken after this time, where somebody else offers
#: the topic and may have published it: what it published will be heard by then [s].
OVERTAKE_PATIENCE_S = 2.0
REPORT_PERIOD_S = 1.0
#: Name under which is kept what the topic of the assignments tells; no worker has it.
OTHERS = 'the assignments heard'
#: Bounds of the parameters of re-planning.
REPLAN_BOUNDS = {
    'drift': (0.01, 10.0),
    'absent_s': (0.5, 3600.0),
    'least_results': (0, 100_000),
    'ease_s': (0.0, 86400.0),
    'least_interval_s': (0.0, 86400.0),
    'horizon_s': (0.0, 86400.0),
    'least_gain': (0.0, 10.0),
    'load_bytes_per_s': (1e3, 1e12),
    'load_share': (0.0, 1.0),
    'step_timeout_s': (1.0, 3600.0),
}


class AllocatorNode(FleetNode):
    """Plans when it is first activated, and anew when the fleet has changed enough.

    Workers that join or go, priorities, rates, unit times and links are changes; a new plan is
    published only where it is worth its move. A priority or a foreign epoch renews the number at
    once. The assignment is kept in a file. An allocator that starts again over the same fleet file
    goes on with it, the priorities set meanwhile included, and the workers notice nothing. Where
    another allocator of the fleet is active, one of the two stands by until the other is gone.
    """

    def __init__(self) -> None:
        super().__init__('allocator')
        self.parameter('replan', True, 'plan anew when the fleet has changed; false: plan once')
        for field in fields(ReplanParameters):
            about = 'of re-planning, see docs/planning.md'
            bounds = REPLAN_BOUNDS[field.name]
            self.parameter(f'replan_{field.name}', field.default, about, bounds)
        self._plan: Plan | None = None
        self._recorded: Plan | None = None
        self._planning: Planning | None = None
        self._decision: PlanningDecision | None = None
        self._adopted: PlanningDecision | None = None
        self._priorities: PriorityParameters | None = None
        self._publisher: Any = None
        self._diagnostics_out: Any = None
        self._timers: list[object] = []
        self._subscriptions_made: list[object] = []
        self._services_made: list[object] = []
        self._unheard: set[str] = set()
        self._said = ChangeLog()
        self._complaints = Complaints()
        self._succession = Succession()
        self._standing_by = ''
        self._foreign: Plan | None = None  # the largest that another allocator has published
        self._editions: dict[str, Edition] = {}  # what others tell, by their names
        self._known_epoch = 0
        self._behind_since_s: float | None = None
        self._listen_until_s = 0.0
        self._epoch_file = Path()
        self._fleet_digest = ''

    def set_up(self, fleet: Fleet) -> None:
        """Recall the last assignment, offer the topic and listen to the heartbeats."""
        self._epoch_file = epoch_file(self.prefix)
        self._recall(fleet)
        known = self._recorded.sources if self._recorded is not None else {}
        self._priorities = PriorityParameters(
            self,
            fleet,
            {name: source.priority_class for name, source in known.items()},
            self._follow_priorities,
        )
        self._offer()
        self._subscriptions_made.append(
            self.create_subscription(
                Assignment, self.topic('assignment'), self._overheard, qos.ASSIGNMENT
            )
        )
        self._diagnostics_out = self.create_publisher(
            DiagnosticArray, '/diagnostics', qos.STATISTICS
        )
        for source in fleet.sources:
            self._subscriptions_made.append(
                self.create_subscription(
                    SourceStats, self.topic(f'sources/{source}/stats'), self._counted, qos.STATUS
                )
            )
        self._services_made.append(self.create_service(Trigger, '~/replan', self._replan_now))
        self._unheard = set(fleet.workers)
        for worker in fleet.workers:
            self._subscriptions_made.append(
                self.create_subscription(
                    WorkerStatus, self.topic(f'workers/{worker}/status'), self._heard, qos.STATUS
                )
            )

    def start(self) -> None:
        """Begin to plan."""
        self._timers = [
            self.every(POLL_PERIOD_S, self._poll),
            self.every(REPORT_PERIOD_S, self._report),
        ]
        self._succession.begin(allocator_id(time.time_ns(), secrets.randbits(CHANCE_BITS)))
        self._listen_until_s = time.monotonic() + LISTEN_S
        if self._succession.stands_by:
            self._stand_by()
            return
        self._offer()
        # It may have been deactivated meanwhile; the fleet ran on under its plan.
        self._begin(self._plan or self._recorded)
        self._follow_priorities()

    def _begin(self, known: Plan | None) -> None:
        """Begin to plan.

        :param known: gone on with, where its models cost what they did then.
        """
        self._planning = Planning(self.fleet, self._replan_parameters(), time.monotonic())
        self._planning.begin(known)

    @property
    def _classes(self) -> PriorityParameters:
        """Return the parameters that set the sources' classes."""
        assert self._priorities is not None, 'the node is not configured'
        return self._priorities

    def stop(self) -> None:
        """Cease to plan; the fleet runs on under the last assignment."""
        for timer in self._timers:
            self.destroy_timer(timer)
        self._timers = []
        self._standing_by = ''
        if self._priorities is not None:
            self._priorities.refusal = ''
        self._cease()

    def _cease(self) -> None:
        if self._planning is not None:
            self._planning.close()
            self._planning = None

    def _offer(self) -> None:
        if self._publisher is None:
            self._publisher = self.create_publisher(
                Assignment, self.topic('assignment'), qos.ASSIGNMENT
            )

    def _withdraw(self) -> None:
        if self._publisher is not None:
            self.destroy_publisher(self._publisher)
            self._publisher = None

    def tear_down(self) -> None:
        """Withdraw the topics and the fleet's parameters."""
        self._withdraw()
        if self._diagnostics_out is not None:
            self.destroy_publisher(self._diagnostics_out)
            self._diagnostics_out = None
        for subscription in self._subscriptions_made:
            self.destroy_subscription(subscription)
        self._subscriptions_made.clear()
        for service in self._services_made:
            self.destroy_service(service)
        self._services_made.clear()
        if self._priorities is not None:
            self._priorities.close()
            self._priorities = None
        self._plan = self._recorded = self._decision = self._adopted = self._foreign = None
        self._succession = Succession()
        self._editions.clear()

    # --- events ----------------------------------------------------------------------------------

    def _heard(self, status: WorkerStatus) -> None:
        self._unheard.discard(status.worker)
        if status.worker in self.fleet.workers:
            self._tells(
                status.worker, (status.epoch, status.allocator),
                f'the heartbeat of {status.worker} comes with',
                f'start the executor of {status.worker} again',
            )  # fmt: skip
        if self._planning is None:
            return
        try:
            heartbeat = heartbeat_message.from_message(status, self.fleet)
        except BadMessage as error:
            self.get_logger().warning(
                f'heartbeat: {error}',
                throttle_duration_sec=10.0,
                throttle_time_source_type=STEADY,
            )
        else:
            self._planning.heard(heartbeat, time.monotonic())

    def _tells(self, name: str, edition: Edition, who: str, remedy: str) -> bool:
        """Note what somebody says to be in force.

        :returns: whether that can be; one that lies must not use up all numbers.
        """
        known = self._newest_epoch()
        believable = is_believable(edition[0], known)
        if name != OTHERS:
            self._editions[name] = edition
        elif believable:  # of however many there are, only the largest counts
            self._editions[name] = max(edition, self._editions.get(name, edition))
        if believable:
            return True
        reason = disbelief(edition[0], known, who, remedy)
        for line in self._complaints.take([reason], time.monotonic()):
            self.get_logger().error(line)
        return False

    def _newest(self) -> Edition:
        """Return the largest assignment that can have been published."""
        told = self._editions.values()
        newest = newest_epoch(self._known_epoch, (epoch for epoch, _ in told))
        return max((one for one in told if one[0] <= newest), default=(0, 0))

    def _newest_epoch(self) -> int:
        return max(self._known_epoch, self._newest()[0])

    # --- other allocators ------------------------------------------------------------------------

    def _overheard(self, message: Assignment) -> None:
        """Take an assignment, this one's or another allocator's."""
        try:
            plan = from_message(message, self.fleet)
        except (ValueError, KeyError) as error:  # no worker of this fleet follows that
            for line in self._complaints.take([f'bad_assignment: {error}'], time.monotonic()):
                self.get_logger().error(line)
            return
        who, remedy = 'another allocator publishes an assignment with', 'stop it'
        if not self._tells(OTHERS, plan.edition, who, remedy):
            return
        if not self._succession.heard(plan.edition):
            return
        if plan.edition == self._succession.largest:
            self._foreign = plan
        if self._timers and self._succession.stands_by:
            self._stand_by()

    def _stand_by(self) -> None:
        """Leave the fleet to another allocator, and say so."""
        epoch, other = self._succession.largest
        text = (
            f'two allocators run for fleet {self.fleet.name}: allocator {other:x} goes on with '
            f'assignment {epoch}, allocator {self._succession.allocator:x}, which is this one, '
            'stands by until the other is gone; stop one of the two'
        )
        if not self._standing_by:
            self.get_logger().error(text)
        self._standing_by = text
        self._classes.refusal = f'{text}, or set it at the other'
        self._cease()
        self._withdraw()

    def _take_over(self) -> None:
        """Go on with what the other allocator, which is gone, had in force."""
        self._standing_by = self._classes.refusal = ''
        self._offer()
        plan = self._foreign or self._plan or self._recorded
        self._plan = plan
        self._begin(plan)
        if plan is not None:
            self._classes.adopt({n: one.priority_class for n, one in plan.sources.items()})
            self._publish_anew(plan, 'the other allocator is gone, going on with what it had')

    # --- planning --------------------------------------------------------------------------------

    def _counted(self, stats: SourceStats) -> None:
        if self._planning is not None:
            now = time.monotonic()
            self._planning.counted(
                stats.source, stats.accepted, stats.incarnation, stats.results, now
            )

    def _poll(self) -> None:
        now = time.monotonic()
        if self._standing_by:
            if self._succession.takes_over(self.count_publishers(self.topic('assignment')), now):
                self._take_over()
            return
        if self._planning is not None and not self._listens(now):
            self._publish_foretold()
            try:
                decision = self._planning.poll(self._plan, self._classes.in_force(), now)
                step = None if decision is not None else self._planning.step(now)
            except Exception as error:  # it must be told, and heartbeats must go on being heard
                self.get_logger().error(
                    f'cannot plan: {type(error).__name__}: {error}',
                    throttle_duration_sec=REPEAT_PERIOD_S,
                    throttle_time_source_type=STEADY,
                )
                return
            if decision is not None:
                self._decide(decision)
                return
            if step is not None:
                self._move_on(step)
                return
        self._overtake(now)

    def _overtake(self, now: float) -> None:
        """Publish above what workers follow; not at once where another allocator may have."""
        epoch, _ = newest = self._newest()
        if self._plan is None or newest <= self._plan.edition:
            self._behind_since_s = None
            return
        if self._behind_since_s is None:
            self._behind_since_s = now
        alone = self.count_publishers(self.topic('assignment')) <= 1
        if alone or now - self._behind_since_s > OVERTAKE_PATIENCE_S:
            self._publish_anew(self._plan, f'the workers were at epoch {epoch} already')

    def _listens(self, now: float) -> bool:
        """Tell whether workers that run already are still to be heard before the first plan."""
        if self._plan is not None or now >= self._listen_until_s:
            return False
        if self._recorded is None:
            return bool(self._unheard) or self._newest() > (0, 0)
        # They follow what this one did not make: whoever did may be there, and is heard soon.
        return self._newest() > self._recorded.edition

    def _decide(self, decision: PlanningDecision) -> None:
        """Publish a plan that is adopted; a first one gone on with keeps its number if it can."""
        self._decision = decision
        if decision.adopted:
            self._adopted = decision
        plan = decision.plan
        if plan is None:
            self.get_logger().info(decision.text)
            return
        prioritised = with_priorities(plan, self._classes.in_force())
        if not decision.recorded:
            self._publish_anew(prioritised, decision.text)
            if decision.adopted:
                self._tell_plan(decision.proposal.plan)
        elif self._plan is not None:  # it was deactivated meanwhile, and has followed priorities
            return
        elif (
            prioritised != plan
            or self._newest_epoch() > plan.epoch
            or plan.allocator > self._succession.allocator  # this machine's clock was set back
        ):
            self._publish_anew(prioritised, f'going on with what epoch {plan.epoch} was')
        else:
            self._publish(plan, 'going on with it')

    def _move_on(self, step: Plan) -> None:
        """Publish the next step of a move, or what the fleet stays with where it was given up."""
        assert self._planning is not None
        plan = with_priorities(step, self._classes.in_force())
        if given_up := self._planning.given_up:
            self.get_logger().error(
                f'the move is given up, the fleet stays as it is: {given_up}; it is tried again'
            )
        why = f'step {plan.step} of {plan.steps} of the move' if plan.step else 'the move is over'
        self._publish_anew(plan, why)

    def _replan_now(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        """Plan anew and move there, worth it or not."""
        del request
        response.success = self._planning is not None and self._planning.ask()
        response.message = (
            'a plan is being made; it is moved to, unless that interrupts the most urgent class'
            if response.success
            else self._standing_by or 'there is no first plan yet; call again when there is'
        )
        return response

    def _report(self) -> None:
        absent = (
            frozenset[str]() if self._planning is None else self._planning.absent(time.monotonic())
        )
        self._diagnostics_out.publish(
            allocator_diagnostics(
                self.get_clock().now().to_msg(), self.prefix, self._plan, self._adopted,
                self._decision, absent, self._tell_waiting(), self._trouble(),
                self._standing_by,
            )
        )  # fmt: skip

    def _tell_waiting(self) -> str:
        """Say, and log where it is new, what the allocator waits for; empty: for nothing."""
        if self._planning is None:
            return ''
        log, now = self.get_logger(), time.monotonic()
        if text := self._planning.models.result():
            log.info(text)
        waiting = self._planning.models.text(now)
        if not waiting and self._plan is None:
            waiting = 'planning'
            if self._listens(now):
                waiting = 'listening whether the workers have an assignment already'
        elif not waiting and self._plan is not None and self._plan.provisional:
            waiting = 'waiting until the workers have measured how fast they are'
        if self._said.is_due('plan', waiting, now):
            log.info(waiting)
        unheard = ', '.join(sorted(self._unheard))
        if now > self._listen_until_s and self._said.is_due('workers', unheard, now):
            log.info(f'not heard yet: {unheard}; are their executors running?')
        return waiting

    def _trouble(self) -> str:
        return '' if self._planning is None else self._planning.trouble(time.monotonic())

    def _replan_parameters(self) -> ReplanParameters | None:
        if not self.get_parameter('replan').value:
            return None
        return ReplanParameters(
            **{
                field.name: self.get_parameter(f'replan_{field.name}').value
                for field in fields(ReplanParameters)
            }
        )

    def _follow_priorities(self) -> None:
        """Publish the classes in force, where the plan has others."""
        if not self._timers or self._standing_by or self._plan is None:
            return  # it will be done when there is a plan, or when active again
        plan = with_priorities(self._plan, self._classes.in_force())
        changes = [
            f'{PREFIX}{name} {self._plan.sources[name].priority_class} -> {source.priority_class}'
            for name, source in plan.sources.items()
            if source != self._plan.sources[name]
        ]
        if changes:
            if self._planning is not None:
                self._planning.prioritised(self._classes.in_force())
            self._publish_anew(plan, ', '.join(changes))

    # --- publishing ------------------------------------------------------------------------------

    def _publish_anew(self, plan: Plan, why: str) -> None:
        self._publish(replace(plan, epoch=self._newest_epoch() + 1), why)

    def _publish_foretold(self) -> None:
        """Publish the plan in force once more, now that its latencies under load are predicted.

        Its number is the same: the workers pass it over, those who watch read it.
        """
        assert self._planning is not None
        try:
            foretold = self._planning.foretold()
        except Exception as error:  # the fleet does as well without
            self.get_logger().warning(f'cannot predict: {type(error).__name__}: {error}')
            return
        if (
            foretold is not None
            and self._plan is not None
            and foretold.edition == self._plan.edition
        ):
            self._plan = foretold
            self._remember(foretold)
            self._send(foretold)

    def _publish(self, plan: Plan, why: str) -> None:
        self._plan = plan = replace(plan, allocator=self._succession.allocator)
        self._known_epoch = max(self._known_epoch, plan.epoch)
        self._succession.published(plan.epoch)
        self._remember(plan)  # before anybody sees it: a number must not be given twice
        self._send(plan)
        if self._planning is not None:
            self._planning.published(plan, time.monotonic())
            if not plan.provisional and plan.step == plan.steps:
                adopted = self._adopted
                conditions = FleetConditions() if adopted is None else adopted.proposal.conditions
                self._planning.foretell(plan, conditions)
        self.get_logger().info(f'assignment {plan.epoch} ({plan.policy}): {why}')

    def _send(self, plan: Plan) -> None:
        message = to_message(plan, self.fleet)
        message.header.stamp = self.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _tell_plan(self, plan: Plan) -> None:
        """Log a plan that is moved to."""
        for name, source in plan.sources.items():
            way = ' -> '.join(
                f'{stage.worker}[{stage.first}:{stage.last})' for stage in source.route
            )
            if way:
                self.get_logger().info(f'  {name} ({source.model}): {way}')
            else:
                self.get_logger().error(f'  {name} has no route: {source.reason}')
        for worker, parts in plan.placement.items():
            held = ', '.join(f'{part.model}[{part.first}:{part.last})' for part in parts)
            self.get_logger().info(f'  {worker} is to hold {held}')

    # --- memory ----------------------------------------------------------------------------------

    def _recall(self, fleet: Fleet) -> None:
        """Find the assignment of an earlier run, if it was made for this very fleet file."""
        self._fleet_digest = digest(self.get_parameter('fleet_file').value)
        record = read_record(record_file(self._epoch_file))
        files = {self._epoch_file: read_epoch(self._epoch_file)}
        if record is not None:
            files[record_file(self._epoch_file)] = record.plan.epoch
        self._known_epoch = newest_epoch(0, (epoch for epoch in files.values() if epoch > 0))
        for path, epoch in files.items():
            if epoch > self._known_epoch:
                reason = disbelief(epoch, self._known_epoch, f'{path} has', 'it is passed over')
                self.get_logger().warning(reason)
        if record is None or not 0 < record.plan.epoch <= self._known_epoch:
            return
        if record.fleet_digest != self._fleet_digest or record.plan.policy != fleet.policy:
            return
        try:
            from_message(to_message(record.plan, fleet), fleet)
        except Exception as error:  # whatever stands in that file: planning anew does no harm
            self.get_logger().warning(f'{record_file(self._epoch_file)} is unusable: {error}')
        else:
            self._recorded = record.plan

    def _remember(self, plan: Plan) -> None:
        try:
            write_record(
                record_file(self._epoch_file),
                Record(fleet_digest=self._fleet_digest, plan=plan),
            )
            self._epoch_file.write_text(f'{self._known_epoch}\n', encoding='ascii')
        except OSError as error:  # the workers' heartbeats still tell a restarted allocator
            self.get_logger().warning(f'cannot remember epoch {plan.epoch}: {error}')


def epoch_file(prefix: str) -> Path:
    """File that keeps the epoch over a restart: below $ROS_HOME, else ~/.ros."""
    home = Path(os.environ.get('ROS_HOME') or Path.home() / '.ros')
    return home / 'pamdi_ros' / (prefix.strip('/').replace('/', '.') + '.epoch')


def record_file(epoch_file: Path) -> Path:
    """File that keeps the assignment, beside the one of its epoch."""
    return epoch_file.with_suffix('.assignment.json')


def read_epoch(path: Path) -> int:
    """Read the last epoch; 0 where none is remembered."""
    try:
        return max(0, int(path.read_text(encoding='ascii')))
    except (OSError, ValueError):
        return 0


def main() -> NoReturn:
    """Run the node."""
    run(AllocatorNode)


if __name__ == '__main__':
    main()
