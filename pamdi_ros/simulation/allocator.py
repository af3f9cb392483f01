# SPDX-License-Identifier: Apache-2.0
"""The simulated allocator: plans, plans anew as the shipping one does, serves whoever starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pamdi_ros.allocation import Costs, plan_for, with_priorities
from pamdi_ros.allocation.replanning.decision import ReplanParameters
from pamdi_ros.allocation.replanning.fleet_conditions import FleetConditions
from pamdi_ros.allocation.replanning.replanner import Occasion, Replanning
from pamdi_ros.assignment import ASK_PEERS_S
from pamdi_ros.simulation.rng import stream
from pamdi_ros.simulation.simulated_worker import SimulatedWorker, World
from pamdi_ros.worker import Plan, WorkerMachine

#: From publishing an assignment to its arrival at a worker, at most [s].
PUBLISH_S = 0.01
#: Between two looks at what has changed, and at how far a move has come [s].
LOOK_PERIOD_S = 0.5
MOVE_PERIOD_S = 0.1


class Allocator:
    """Gives assignments to workers, as long as it lives; it persists the running one.

    :param world: what it finds around it.
    :ivar alive: whether its process runs.
    """

    def __init__(self, world: World) -> None:
        setup = world.setup
        self.alive = True
        self._world = world
        self._rng = stream(setup.seed, 'allocator')
        costs = Costs(fleet=setup.fleet, tables=setup.tables)
        if setup.cold:
            self._plan = Plan()
        else:
            self._plan = setup.plan or plan_for(setup.policy, costs, epoch=1)
        self._priorities: dict[str, str] = {}
        # The policy may be another than the fleet file's.
        self._fleet = replace(setup.fleet, policy=setup.policy)
        self._follows = False
        self._replans = setup.replan is not None
        self._replanning = self._listen()

    def _listen(self) -> Replanning:
        """Begin to look whether the fleet is still as it was planned for."""
        setup, clock = self._world.setup, self._world.clock
        parameters = setup.replan or ReplanParameters()
        made = self._replanning = Replanning(self._fleet, setup.tables, parameters, clock.now)
        made.replanner.planned(FleetConditions(priorities=dict(self._priorities)), clock.now)
        asked = any(event.replan for event in setup.fleet.events)
        interrupted = self._plan.step < self._plan.steps
        if self._replans or asked or setup.cold or interrupted:
            clock.at(clock.now + LOOK_PERIOD_S, self._look, made)
        return made

    def open(self) -> None:
        """Have every worker hold its partitions and know its peers: the fleet is ready.

        A fleet that is only started is planned for as soon as it is looked at.
        """
        if self._world.setup.cold:
            return
        for host in self._world.hosts.values():
            host.ready(self._plan)
        for host in self._world.hosts.values():
            host.greet()

    def set_priorities(self, priorities: Mapping[str, str]) -> None:
        """Publish an assignment with other classes, by source; the placement stays.

        Nobody takes the order while the allocator is dead.
        """
        if not self.alive:
            return
        self._priorities.update(priorities)
        self._replanning.mover.prioritised(priorities)
        if not self._plan.epoch:
            return  # it will be planned with them
        self._publish(with_priorities(self._plan, priorities))

    def replan(self) -> None:
        """Plan anew and move there, worth it or not; never at the most urgent class's cost."""
        if self.alive:
            self._hear()
            self._propose(self._replanning.asked(self._priorities, self._world.clock.now))

    def move_to(self, plan: Plan) -> None:
        """Move to a plan, worth it or not."""
        if self.alive:
            self._hear()
            now = self._world.clock.now
            mover, holders = self._replanning.mover, self._replanning.holders(now)
            self._publish(mover.begin(plan, self._plan, holders, now))
            self._go_on()

    def revive(self) -> None:
        """Start again, with the assignment that it persisted."""
        if self.alive:
            return
        self.alive = True
        self._listen().resume(self._plan, self._world.clock.now)
        self.serve_all()

    def _publish(self, plan: Plan) -> None:
        self._plan = replace(plan, epoch=self._plan.epoch + 1)
        self._replanning.published(self._plan, self._world.clock.now)
        self._world.recorder.planned(self._plan, self._world.clock.now)
        self.serve_all()

    def _look(self, replanning: Replanning) -> None:
        """Hear who is there, and plan anew where that is due and worth it."""
        if not self.alive or replanning is not self._replanning:
            return
        clock = self._world.clock
        clock.at(clock.now + LOOK_PERIOD_S, self._look, replanning)
        self._hear()
        if not self._plan.epoch:
            occasion: Occasion | None = replanning.first(self._priorities, clock.now)
        elif self._plan.provisional:
            occasion = replanning.figures(self._plan, self._priorities, clock.now)
        else:
            occasion = replanning.occasion(self._priorities, clock.now, self._replans)
        if occasion is not None:
            self._propose(occasion)

    def _hear(self) -> None:
        """Hear the heartbeats and statistics of all who can be heard."""
        now = self._world.clock.now
        for host in self._reached().values():
            self._replanning.heard(host.status(), now)
            machine = host.living()
            for source, counts in machine.ledger.counts.items():
                self._replanning.observer.counted(
                    source, counts.accepted, machine.incarnation, now, counts.results
                )

    def _propose(self, occasion: Occasion) -> None:
        """Plan anew, and begin to move there where that is worth it, or asked for."""
        replanning, now = self._replanning, self._world.clock.now
        running = self._plan if self._plan.epoch else None
        _, plan = replanning.outcome(occasion, replanning.propose(occasion, running), running, now)
        if plan is not None:
            self._publish(plan)
            self._go_on()

    def _go_on(self) -> None:
        """Look after a move, as long as it is under way."""
        if self._replanning.mover.moving and not self._follows:
            self._follows = True
            clock = self._world.clock
            clock.at(clock.now + MOVE_PERIOD_S, self._move)

    def _move(self) -> None:
        """Publish the next step of a move once the last one is done."""
        self._follows = False
        if self.alive:
            self._hear()
            step = self._replanning.step(self._world.clock.now)
            if step is not None:
                self._publish(step)
        self._go_on()

    def _reached(self) -> dict[str, SimulatedWorker]:
        """Return the workers whose heartbeats the allocator hears."""
        return {
            name: host
            for name, host in self._world.hosts.items()
            if host.machine is not None and not self._world.network.cut_off(name)
        }

    def serve_all(self) -> None:
        """Publish the running assignment to all who have not got it."""
        for host in self._world.hosts.values():
            if host.machine is not None:
                delay_s = PUBLISH_S * self._rng.random()
                clock = self._world.clock
                clock.at(clock.now + delay_s, self._serve, host, host.machine)

    def started(self, host: SimulatedWorker) -> None:
        """Serve a worker that has just started: itself, else a peer does."""
        clock = self._world.clock
        clock.at(clock.now + PUBLISH_S, self._serve, host, host.machine)
        clock.at(clock.now + ASK_PEERS_S, self._ask_peers, host, host.machine)

    def _serve(self, host: SimulatedWorker, machine: WorkerMachine) -> None:
        if self.alive and not self._world.network.cut_off(host.name):
            self._give(host, machine, self._plan)

    def _ask_peers(self, host: SimulatedWorker, machine: WorkerMachine) -> None:
        """Have a worker without an assignment take the newest one of a peer within reach."""
        if machine is not host.machine or host.plan is not None:
            return
        plans = [
            peer.plan
            for name, peer in self._world.hosts.items()
            if peer.plan is not None and self._world.network.reaches(name, host.name)
        ]
        if plans:
            self._give(host, machine, max(plans, key=lambda plan: plan.edition))
            return
        clock = self._world.clock
        clock.at(clock.now + ASK_PEERS_S, self._ask_peers, host, machine)

    def _give(self, host: SimulatedWorker, machine: WorkerMachine, plan: Plan) -> None:
        """Give a worker an assignment; what it does not hold yet takes time to load."""
        if machine is not host.machine:
            return
        host.assign(plan)
