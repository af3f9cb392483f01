# SPDX-License-Identifier: Apache-2.0
"""Starts a fleet's nodes as processes of this machine, watches them, and ends them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
import contextlib
from dataclasses import dataclass, field
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time

from pamdi_ros.fleet.launch_plan import NodePlan, RESPAWN_DELAY_S, ros_arguments
from pamdi_ros.parent_death_signal import PARENT_VARIABLE

MODULES = {
    'executor_node': 'pamdi_ros.nodes.executor.executor_node',
    'allocator_node': 'pamdi_ros.nodes.allocator.allocator_node',
    'monitor_node': 'pamdi_ros.nodes.monitor.monitor_node',
}
#: Patience with a node that was asked to end, before it is killed [s].
GRACE_S = 2.0


@dataclass(slots=True)
class Child:
    """One process.

    :param name: for people, such as ``robot1/executor``.
    :param command: its command line.
    :param environment: variables besides the inherited ones.
    :param respawn: start it again when it dies.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    respawn: bool = False
    process: subprocess.Popen[str] | None = None
    restart_at_s: float | None = None
    starts: int = 0


def node_child(plan: NodePlan) -> Child:
    """Child that runs a planned node, without ros2 launch."""
    command = (sys.executable, '-m', MODULES[plan.executable], *ros_arguments(plan))
    *_, last = plan.namespace.split('/')
    return Child(f'{last}/{plan.name}', command, plan.environment, plan.respawn)


class Supervisor:
    """The processes of one fleet; use it as a context manager, leaving it ends them all.

    A kernel-level tie (PR_SET_PDEATHSIG, set by each node) ends the nodes also when this process
    is killed outright.

    :param log_directory: every process writes its own log here.
    :param tell: called with what a person should know: warnings, errors, deaths.
    """

    def __init__(self, log_directory: Path, tell: Callable[[str], None]) -> None:
        self._log_directory = log_directory
        self._tell = tell
        self.children: list[Child] = []
        log_directory.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Supervisor:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes."""
        self.stop(self.children)

    def start(self, children: Iterable[Child]) -> None:
        """Start processes."""
        for child in children:
            self.children.append(child)
            self._start(child)

    def watch(self) -> list[str]:
        """Report the dead and restart those that shall be.

        :returns: names of processes that are dead and stay so.
        """
        gone = []
        for child in self.children:
            if child.process is None:
                if child.restart_at_s is not None and time.monotonic() >= child.restart_at_s:
                    self._start(child)
                elif child.restart_at_s is None:
                    gone.append(child.name)
                continue
            process = child.process
            code = process.poll()
            if code is None:
                continue
            child.process = None
            _end_group(process, signal.SIGTERM)  # what it had started, such as a model's builder
            how = f'was killed by {signal.Signals(-code).name}' if code < 0 else f'exited: {code}'
            if child.respawn:
                child.restart_at_s = time.monotonic() + RESPAWN_DELAY_S
                self._tell(f'{child.name} {how}; starting it again')
            else:
                gone.append(child.name)
                log = self._log_path(child)
                self._tell(f'{child.name} {how}; its log is {log}')
        return gone

    def kill(self, name: str) -> None:
        """Kill a process outright, as a crash does; :meth:`revive` starts it again.

        :raises KeyError: there is none of that name.
        """
        child = self._child(name)
        child.restart_at_s = None
        if child.process is not None:
            _end_group(child.process, signal.SIGKILL)
            child.process.wait()
            child.process = None

    def revive(self, name: str) -> None:
        """Start a killed process again; one that runs is left alone.

        :raises KeyError: there is none of that name.
        """
        child = self._child(name)
        if child.process is None:
            self._start(child)

    def stop(self, children: Iterable[Child]) -> None:
        """Ask processes to end, then make them; returns when none is left."""
        chosen = list(children)
        self.children = [child for child in self.children if all(child is not c for c in chosen)]
        running = [child.process for child in chosen if child.process is not None]
        for child in chosen:
            child.restart_at_s = child.process = None
        for process in running:
            process.terminate()  # not SIGINT: ignored while a background job's child still imports
        deadline_s = time.monotonic() + GRACE_S
        for process in running:
            try:
                process.wait(max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                _end_group(process, signal.SIGKILL)
                process.wait()

    def _child(self, name: str) -> Child:
        for child in self.children:
            if child.name == name:
                return child
        raise KeyError(name)

    def _start(self, child: Child) -> None:
        child.restart_at_s = None
        child.starts += 1
        child.process = subprocess.Popen(
            child.command,
            env={
                **os.environ,
                **child.environment,
                PARENT_VARIABLE: str(os.getpid()),
                'PYTHONUNBUFFERED': '1',
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            start_new_session=True,  # Ctrl-C reaches us alone; the order of ending is ours
        )
        threading.Thread(target=self._read, args=(child, child.process), daemon=True).start()

    def _log_path(self, child: Child) -> Path:
        return self._log_directory / (child.name.replace('/', '.') + '.log')

    def _read(self, child: Child, process: subprocess.Popen[str]) -> None:
        """Copy a process's output to its log; warnings and errors to the person too."""
        assert process.stdout is not None
        with self._log_path(child).open('a', encoding='utf-8') as log:
            for line in process.stdout:
                # Whatever fails here (disk full, terminal gone), a pipe that nobody reads would
                # freeze the process.
                with contextlib.suppress(OSError):
                    log.write(line)
                    log.flush()
                if any(mark in line for mark in ('[WARN]', '[ERROR]', '[FATAL]', 'Error: ')):
                    with contextlib.suppress(OSError):
                        self._tell(f'{child.name}: {_plain(line)}')


def _end_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Signal a child and whatever it has started; each child leads a group of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _plain(line: str) -> str:
    """Log line without rclpy's stamp and node name."""
    if line.startswith('[') and ']: ' in line:
        level = line[1:].partition(']')[0]
        return f'{level}: {line.split("]: ", 1)[1].rstrip()}'
    return line.rstrip()
