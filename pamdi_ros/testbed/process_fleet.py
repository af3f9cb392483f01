# SPDX-License-Identifier: Apache-2.0
"""A fleet's real processes on the hosts of a test network, and the client that watches them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
import json
import os
from pathlib import Path
import select
import subprocess
import sys
import time
from typing import Any

from pamdi_ros.fleet import Event, Fleet, fleet_nodes, load_fleet
from pamdi_ros.fleet.launch_plan import DDS_PROFILE, DDS_PROFILE_VARIABLES
from pamdi_ros.fleet.resources import config_path
from pamdi_ros.nodes.monitor.fleet_observer import RunObserver
from pamdi_ros.nodes.monitor.priority_client import PriorityClient
from pamdi_ros.parent_death_signal import PARENT_VARIABLE
from pamdi_ros.shared_memory import remove_stale_segments
from pamdi_ros.simulation.faults import ALLOCATOR
from pamdi_ros.supervisor import Child, GRACE_S, node_child, Supervisor
from pamdi_ros.testbed.network import CannotRun, NamespaceNetwork, OneHost
from pamdi_ros.testbed.player import READY
import yaml

#: Between hosts every byte shall cross the network.
PROFILES = {True: DDS_PROFILE, False: 'fastdds_udp.xml'}
#: Starting takes a while, and building a model's outline for the first time more [s].
START_PATIENCE_S = 180.0
STEP_S = 0.02


class ProcessFleet:
    """Nodes of a fleet on the hosts of their workers; the allocator's beside the client.

    :param document: content of the fleet file.
    :param networked: every worker has a host of its own; otherwise all share this one.
    :param replan: the allocator plans anew where that is due.
    :param directory: for the fleet file, the logs and what the nodes keep.
    :ivar told: warnings and errors of the nodes.
    """

    def __init__(
        self, document: Mapping[str, Any], directory: Path, *, networked: bool, replan: bool
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / 'fleet.yaml'
        self._file.write_text(yaml.safe_dump(dict(document), sort_keys=False), encoding='utf-8')
        self.fleet: Fleet = load_fleet(self._file)
        self.network = NamespaceNetwork(self.fleet) if networked else OneHost()
        self.told: list[str] = []
        self._directory = directory
        self._replan = replan
        self._refusals: list[str] = []
        self._environment: dict[str, str | None] = {}
        self._processes = Supervisor(directory / 'logs', self.told.append)
        self._players: dict[str, subprocess.Popen[str]] = {}
        self._killed: set[str] = set()
        self.observer: RunObserver | None = None

    def __enter__(self) -> ProcessFleet:
        """Start, and wait until every worker serves and every source is heard."""
        self.network.__enter__()
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes and take the network down."""
        for player in self._players.values():
            _end(player)
        self._processes.stop(list(self._processes.children))
        if self.observer is not None:
            self.observer.close()
        self.network.__exit__()
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def play(self, begin_s: float, arrivals: Mapping[str, list[float]]) -> None:
        """Have the sensors publish, since a time of day to come [s].

        :raises CannotRun: a player has died.
        """
        order = json.dumps({'begin_s': begin_s, 'arrivals': arrivals})
        for worker, player in self._players.items():
            assert player.stdin is not None
            try:
                player.stdin.write(order + '\n')
                player.stdin.flush()
            except OSError as error:
                raise CannotRun(f'the sensors of {worker} have died: {error}') from error

    def accepted(self) -> dict[str, int]:
        """Items that each source has accepted, in all runs of its home, by its last statistics."""
        assert self.observer is not None
        return {
            name: sum(stats.accepted for stats in source.runs.values())
            for name, source in self.observer.tally.sources.items()
        }

    def spin(self, seconds: float = STEP_S) -> None:
        """Serve the client's callbacks for a while.

        :raises CannotRun: a process has died that was not killed, or a priority was not set.
        """
        assert self.observer is not None
        self.observer.spin(seconds)
        self._orders.look(time.monotonic())
        if self._refusals:
            raise CannotRun(f'a priority could not be set: {"; ".join(self._refusals)}')
        gone = [name for name in self._processes.watch() if name not in self._killed]
        gone += [name for name, player in self._players.items() if player.poll() is not None]
        if gone:
            raise CannotRun(f'died: {", ".join(gone)}; {"; ".join(self.told[-3:])}')

    def happens(self, event: Event) -> None:
        """Make an event of the fleet file happen; rates are the sensors' matter."""
        if event.worker is not None:
            name = self._node(event.worker)
            if event.action == 'kill':
                self._killed.add(name)
                self._processes.kill(name)
            else:
                self._processes.revive(name)
                self._killed.discard(name)
        if event.speeds:
            raise CannotRun('set_speed: only the simulator can make a worker slower')
        for source, priority in event.priorities.items():
            prefix = f'/{self.fleet.name}'
            self._orders.ask(prefix, source, priority, self._answered, time.monotonic())
        if event.between is not None:
            one, other = sorted(event.between)
            self.network.set_link((one, other), event.link)

    def listen(self, heard: Callable[[Any], None] | None) -> None:
        """Have every message of the fleet told."""
        assert self.observer is not None
        self.observer.tally.on_message = heard

    # --- start ----------------------------------------------------------------------------------

    def _start(self) -> None:
        profile = str(config_path(PROFILES[self.network.emulates_links]))
        shared = {
            **dict.fromkeys(DDS_PROFILE_VARIABLES, profile),
            **self.network.environment(),
            'ROS_HOME': str(self._directory / 'ros_home'),
        }
        self._environment = {name: os.environ.get(name) for name in shared}
        os.environ.update(shared)  # the client is one of them
        remove_stale_segments()
        self._processes.start(self._children(shared))
        homes = dict.fromkeys(source.worker for source in self.fleet.sources.values())
        self._players = {worker: self._player(worker, shared) for worker in homes}
        self.observer = RunObserver(self.fleet)
        self._orders = PriorityClient(self.observer.node)
        give_up_s = time.monotonic() + START_PATIENCE_S
        while waiting := self.observer.tally.not_serving():
            self.spin(0.2)
            if time.monotonic() > give_up_s:
                reasons = '; '.join(f'{name}: {why}' for name, why in waiting.items())
                raise CannotRun(f'not up after {START_PATIENCE_S:.0f} s: {reasons}')
        for worker, player in self._players.items():
            while not _says_ready(player):
                self.spin(0.2)
                if time.monotonic() > give_up_s:
                    raise CannotRun(f'{worker} does not hear its sensors')

    def _children(self, shared: Mapping[str, str]) -> Iterator[Child]:
        for plan in fleet_nodes(self.fleet, fleet_file=self._file):
            worker = plan.parameters.get('worker')
            if worker is None:
                parameters = {**plan.parameters, 'replan': self._replan}
                child = node_child(replace(plan, parameters=parameters))
            else:
                parameters = {**plan.parameters, 'emulate_links': self.network.emulates_links}
                child = node_child(replace(plan, parameters=parameters))
                child.command = self.network.command(str(worker), child.command)
            child.environment = {**child.environment, **shared}
            yield child

    def _player(self, worker: str, shared: Mapping[str, str]) -> subprocess.Popen[str]:
        command = (sys.executable, '-m', 'pamdi_ros.testbed.player', str(self._file), worker)
        log = (self._directory / 'logs' / f'{worker}.player.log').open('w')
        with log:
            return subprocess.Popen(
                self.network.command(worker, command),
                env={**os.environ, **shared, PARENT_VARIABLE: str(os.getpid())},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip

    def _node(self, worker: str) -> str:
        return f'{self.fleet.name}/{worker}' if worker == ALLOCATOR else f'{worker}/executor'

    def _answered(self, refusal: str) -> None:
        if refusal:
            self._refusals.append(refusal)


def _end(player: subprocess.Popen[str]) -> None:
    """Let a player end, which takes its shared memory along, or make it."""
    try:
        player.communicate(timeout=GRACE_S)  # closes its input
    except (OSError, subprocess.TimeoutExpired):
        player.kill()
        player.communicate()


def _says_ready(player: subprocess.Popen[str]) -> bool:
    assert player.stdout is not None
    readable, _, _ = select.select([player.stdout], [], [], 0.0)
    return bool(readable) and player.stdout.readline().strip() == READY
