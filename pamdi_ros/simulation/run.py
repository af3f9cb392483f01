# SPDX-License-Identifier: Apache-2.0
"""Simulates a fleet: the shipping state machines under a virtual clock."""

from __future__ import annotations

from collections.abc import Callable
import time

from pamdi_ros.fleet import Event
from pamdi_ros.simulation.allocator import Allocator
from pamdi_ros.simulation.clock import Clock
from pamdi_ros.simulation.faults import ALLOCATOR
from pamdi_ros.simulation.invariant_checker import InvariantChecker
from pamdi_ros.simulation.network import SimulatedNetwork
from pamdi_ros.simulation.record import Ended, Run
from pamdi_ros.simulation.recorder import TraceRecorder
from pamdi_ros.simulation.sensor import SimulatedSensor
from pamdi_ros.simulation.setup import Service, Setup
from pamdi_ros.simulation.simulated_worker import SimulatedWorker, World

__all__ = ['Ended', 'Run', 'Service', 'Setup', 'simulate']

#: Open items are counted, and progress is told, every so often [s].
SAMPLE_S = 0.25
#: Beyond the longest lifespan, so long may the last traffic of a run take [s].
PATIENCE_S = 8.0


def simulate(
    setup: Setup,
    progress: Callable[[float], None] | None = None,
    *,
    traced: bool = False,
    watched: bool = False,
) -> Run:
    """Run a fleet until every item has ended.

    :param setup: what is simulated.
    :param progress: is told the share of the run that is done, in [0, 1].
    :param traced: give a line for every event, for comparing two runs.
    :param watched: check the promises of the machine that its driver can see, at a cost; then
        the fleet must also have nothing left when all items have ended.
    :returns: what came of it.
    """
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    run = Run(setup=setup)
    simulation = _Simulation(setup, TraceRecorder(run, traced), watched)
    simulation.run(progress or (lambda share: None))
    run.events = simulation.world.clock.events
    run.wall_s = time.perf_counter() - started_s
    run.cpu_s = time.process_time() - started_cpu_s
    return run


class _Simulation:
    """One run: the world, its allocator and sensors, and what happens to them."""

    def __init__(self, setup: Setup, recorder: TraceRecorder, watched: bool) -> None:
        clock = Clock()
        hosts: dict[str, SimulatedWorker] = {}
        watch = InvariantChecker(setup, recorder, clock) if watched else None
        network = SimulatedNetwork(clock, setup.fleet, setup.faults, setup.seed)
        self.world = World(
            setup=setup, clock=clock, network=network, hosts=hosts, recorder=recorder,
            revive=self._revive, watch=watch,
        )  # fmt: skip
        for name in setup.fleet.workers:
            hosts[name] = SimulatedWorker(name, self.world)
        self._setup = setup
        self._recorder = recorder
        self._hosts = hosts
        self._allocator = Allocator(self.world)
        self._sensors = {
            name: SimulatedSensor(setup, source, clock, hosts[source.worker])
            for name, source in setup.fleet.sources.items()
        }

    def run(self, progress: Callable[[float], None]) -> None:
        """Run from the first item to the last end."""
        setup, clock, recorder = self._setup, self.world.clock, self._recorder
        for host in self._hosts.values():
            host.boot()
        self._allocator.open()
        for sensor in self._sensors.values():
            sensor.start()
        self._schedule()
        samples = 0
        while clock.now < setup.seconds:
            samples += 1
            clock.run(min(samples * SAMPLE_S, setup.seconds))
            recorder.sample(clock.now)
            progress(clock.now / setup.seconds)
        lifespan_s = max((s.lifespan_s for s in setup.fleet.sources.values()), default=0.0)
        horizon_s = max(setup.seconds, self._last_change_s()) + lifespan_s + PATIENCE_S
        while not self._drained() and clock.now < horizon_s:
            clock.run(min(clock.now + SAMPLE_S, horizon_s))
        self._close()

    def _schedule(self) -> None:
        clock = self.world.clock
        for event in self._setup.fleet.events:
            clock.at(event.at_s, self._happens, event)
        for at_s, plan in self._setup.moves:
            clock.at(at_s, self._allocator.move_to, plan)
        for crash in self._setup.faults.crashes:
            clock.at(crash.at_s, self._kill, crash.worker)
            if crash.for_s is not None:
                clock.at(crash.at_s + crash.for_s, self._revive, crash.worker)
        for pause in self._setup.faults.pauses:
            clock.at(pause.at_s, self._hosts[pause.worker].pause)
            clock.at(pause.at_s + pause.for_s, self._hosts[pause.worker].resume)
        for split in self._setup.faults.splits:
            clock.at(split.at_s, self.world.network.split, split.group)
            clock.at(split.at_s + split.for_s, self._heal)

    def _last_change_s(self) -> float:
        """When the last revival or healing happens [s]: the fleet may have to recover from it."""
        faults = self._setup.faults
        times = [event.at_s for event in self._setup.fleet.events]
        times += [at_s for at_s, _ in self._setup.moves]
        times += [crash.at_s + (crash.for_s or 0.0) for crash in faults.crashes]
        times += [pause.at_s + pause.for_s for pause in faults.pauses]
        times += [split.at_s + split.for_s for split in faults.splits]
        return max(times, default=0.0)

    def _happens(self, event: Event) -> None:
        if event.worker is not None:
            self._befalls(event.action, event.worker)
        for worker, seconds in event.clock_jumps.items():
            self._hosts[worker].clock_jump(seconds)
        if event.priorities:
            self._allocator.set_priorities(event.priorities)
        for source, rate_hz in event.rates_hz.items():
            self._sensors[source].set_rate(rate_hz)
        if event.replan:
            self._allocator.replan()
        for worker, factor in event.slow_loads.items():
            self._hosts[worker].storage.slowness = factor
        for worker, factor in event.speeds.items():
            self._hosts[worker].set_speed(factor)
        if event.between is not None:
            self.world.network.change(event.between, event.link)

    def _befalls(self, action: str, worker: str) -> None:
        """Have something happen to one worker, or to the allocator."""
        if action == 'kill':
            self._kill(worker)
        elif action == 'revive':
            self._revive(worker)
        elif action == 'fail_units':
            self._hosts[worker].fails = True
        elif action == 'hang_unit':
            self._hosts[worker].hangs = True
        elif action == 'fail_load':
            self._hosts[worker].storage.broken = True
        elif action == 'heal':
            self._hosts[worker].heal()

    def _kill(self, worker: str) -> None:
        if worker == ALLOCATOR:
            self._allocator.alive = False
        else:
            self._hosts[worker].crash()

    def _revive(self, worker: str) -> None:
        if worker == ALLOCATOR:
            self._allocator.revive()
        elif self._hosts[worker].machine is None:
            self._hosts[worker].boot()
            self._allocator.started(self._hosts[worker])

    def _heal(self) -> None:
        self.world.network.split(frozenset())
        self._allocator.serve_all()

    def _drained(self) -> bool:
        """Tell whether no item is open but those of dead homes, and nothing is under way."""
        orphans = sum(len(host.lost) for host in self._hosts.values())
        if len(self._recorder) > orphans:
            return False
        watch = self.world.watch
        if watch is None:
            return True
        machines = {name: host.machine for name, host in self._hosts.items()}
        return self.world.clock.now >= self._last_change_s() and not watch.left(machines)

    def _close(self) -> None:
        run, now = self._recorder.run, self.world.clock.now
        for host in self._hosts.values():
            for task in host.lost:
                self._recorder.orphaned(task.key, now)
            if host.machine is not None:
                run.drops[host.name] = host.machine.drops
        if self.world.watch is not None:
            machines = {name: host.machine for name, host in self._hosts.items()}
            run.left.extend(self.world.watch.left(machines))
        self._recorder.close()
