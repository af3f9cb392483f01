# SPDX-License-Identifier: Apache-2.0
"""The simulated allocator: plans, plans anew as the shipping one does, serves whoever starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pamdi_ros.allocation import Costs, plan_for, with_priorities
from pamdi_ros.allocation.conditions import Conditions
from pamdi_ros.allocation.observer import Observer
from pamdi_ros.allocation.proposal import propose
from pamdi_ros.allocation.replan import moved_bytes, Replanner, ReplanParameters
from pamdi_ros.simulation.chance import stream
from pamdi_ros.simulation.host import Host, World
from pamdi_ros.worker import Plan, Worker

#: From publishing an assignment to its arrival at a worker, at most [s].
PUBLISH_S = 0.01
#: From taking an assignment to having its partitions loaded, beside reading the weights [s].
LOAD_S = 0.5
#: A worker without an assignment asks its peers for theirs after this time, and so on [s].
ASK_PEERS_S = 1.0
#: Between two looks at what has changed [s].
LOOK_PERIOD_S = 0.5


class Allocator:
    """Gives assignments to workers, as long as it lives; it persists the running one.

    :param world: what it finds around it.
    :ivar alive: whether its process runs.
    """

    def __init__(self, world: World) -> None:
        setup = world.setup
        self.alive = True
        self._world = world
        self._chance = stream(setup.seed, 'allocator')
        costs = Costs(fleet=setup.fleet, tables=setup.tables)
        self._plan = setup.plan or plan_for(setup.policy, costs, epoch=1)
        self._priorities: dict[str, str] = {}
        # The policy may be another than the fleet file's.
        self._fleet = replace(setup.fleet, policy=setup.policy)
        self._observer: Observer | None = None
        self._replanner: Replanner | None = None
        if setup.replan is not None:
            self._listen()

    def _listen(self) -> None:
        """Begin to look whether the fleet is still as it was planned for."""
        setup, clock = self._world.setup, self._world.clock
        self._replanner = Replanner(self._fleet, setup.replan)
        self._replanner.planned(Conditions(priorities=dict(self._priorities)), clock.now)
        flops = {
            name: sum(unit.flops for unit in table.units) for name, table in setup.tables.items()
        }
        absent_s = self._replanner.parameters.absent_s
        self._observer = Observer(self._fleet, flops, absent_s, clock.now)
        clock.at(clock.now + LOOK_PERIOD_S, self._look, self._observer)

    def open(self) -> None:
        """Have every worker hold its partitions and know its peers: the fleet is ready."""
        for host in self._world.hosts.values():
            host.assign(self._plan)
        for host in self._world.hosts.values():
            host.hold()
        for host in self._world.hosts.values():
            host.greet()

    def set_priorities(self, priorities: Mapping[str, str]) -> None:
        """Publish an assignment with other classes, by source; the placement stays.

        Nobody takes the order while the allocator is dead.
        """
        if not self.alive:
            return
        self._priorities.update(priorities)
        self._publish(with_priorities(self._plan, priorities))

    def revive(self) -> None:
        """Start again, with the assignment that it persisted."""
        if self.alive:
            return
        self.alive = True
        if self._replanner is not None:
            self._listen()
        self.serve_all()

    def _publish(self, plan: Plan) -> None:
        self._plan = replace(plan, epoch=self._plan.epoch + 1)
        self._world.recorder.planned(self._plan, self._world.clock.now)
        self.serve_all()

    def _look(self, observer: Observer) -> None:
        """Hear who is there, and plan anew where that is due and worth it."""
        if not self.alive or observer is not self._observer or self._replanner is None:
            return
        clock, setup = self._world.clock, self._world.setup
        clock.at(clock.now + LOOK_PERIOD_S, self._look, observer)
        for name, host in self._world.hosts.items():
            if host.machine is None or self._world.network.cut_off(name):
                continue
            beacon = host.status()
            held = {part.model for part in beacon.held}
            model_s = {model: s for model, s in beacon.model_s.items() if model in held}
            observer.heard(name, model_s, beacon.slowdown, clock.now)
            for source, counts in host.machine.ledger.counts.items():
                incarnation = host.machine.incarnation
                observer.counted(source, counts.accepted, incarnation, clock.now)
        conditions = observer.conditions(self._priorities, clock.now)
        if not self._replanner.due(conditions, clock.now):
            return
        self._replanner.planned(conditions, clock.now)
        proposal = propose(self._fleet, setup.tables, conditions, running=self._plan)
        assert proposal.running is not None
        judged = self._replanner.judge(proposal.running, proposal.value, proposal.moved_bytes)
        if judged.adopted:
            self._publish(proposal.plan)

    def serve_all(self) -> None:
        """Publish the running assignment to all who have not got it."""
        for host in self._world.hosts.values():
            if host.machine is not None:
                delay_s = PUBLISH_S * self._chance.random()
                clock = self._world.clock
                clock.at(clock.now + delay_s, self._serve, host, host.machine)

    def started(self, host: Host) -> None:
        """Serve a worker that has just started: itself, else a peer does."""
        clock = self._world.clock
        clock.at(clock.now + PUBLISH_S, self._serve, host, host.machine)
        clock.at(clock.now + ASK_PEERS_S, self._ask_peers, host, host.machine)

    def _serve(self, host: Host, machine: Worker) -> None:
        if self.alive and not self._world.network.cut_off(host.name):
            self._give(host, machine, self._plan)

    def _ask_peers(self, host: Host, machine: Worker) -> None:
        """Have a worker without an assignment take the newest one of a peer within reach."""
        if machine is not host.machine or host.plan is not None:
            return
        plans = [
            peer.plan
            for name, peer in self._world.hosts.items()
            if peer.plan is not None and self._world.network.reaches(name, host.name)
        ]
        if plans:
            self._give(host, machine, max(plans, key=lambda plan: plan.epoch))
            return
        clock = self._world.clock
        clock.at(clock.now + ASK_PEERS_S, self._ask_peers, host, machine)

    def _give(self, host: Host, machine: Worker, plan: Plan) -> None:
        """Give a worker an assignment; what it does not hold yet takes time to load."""
        if machine is not host.machine:
            return
        before = host.plan
        host.assign(plan)
        if before is None or before.partitions(host.name) != plan.partitions(host.name):
            clock = self._world.clock
            load_s = LOAD_S + self._load_s(host.name, before, plan)
            clock.at(clock.now + load_s, self._loaded, host, machine, plan.epoch)

    def _load_s(self, worker: str, before: Plan | None, plan: Plan) -> float:
        """Time that a worker takes to read the weights that it does not hold yet [s]."""
        parameters = self._world.setup.replan or ReplanParameters()
        moved = moved_bytes(self._world.setup.tables, before or Plan(), plan)
        return moved.get(worker, 0) / parameters.load_bytes_per_s

    def _loaded(self, host: Host, machine: Worker, epoch: int) -> None:
        """Have what was loaded replace what was held, unless another plan has come meanwhile."""
        if machine is host.machine and machine.plan.epoch >= epoch:
            host.hold()
