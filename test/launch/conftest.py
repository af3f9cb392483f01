# SPDX-License-Identifier: Apache-2.0
"""Runs the real ``ros2`` on launch files; skipped where ROS 2's launch is not installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time
import uuid

import pytest

#: Bounds of waits; a condition ends them long before on an idle machine [s].
PATIENCE_S = 60.0
COMMAND_S = 30.0
MARK = 'PAMDI_LAUNCH_TEST'

FLEET = """
fleet: tiny
policy: static_chain
priority_classes: {normal: {weight: 1}}
models:
  resnet56: {zoo: resnet56, input_shape: [3, 32, 32]}
workers:                              # room for the model on both together, on neither alone
  robot1: {device: cpu, memory_mb: 2.9}
  robot2: {device: cpu, memory_mb: 2.9}
links: {default: {bandwidth_mbps: 1000}}
sources:
  camera: {worker: robot1, topic: camera/image_raw, type: sensor_msgs/msg/Image, model: resnet56,
           priority: normal, rate_hz: 5}
"""


def missing() -> str:
    """Say what these tests need and this machine has not; empty: nothing."""
    if find_spec('launch_ros') is None:
        return "ROS 2's launch_ros is not installed (it is not on PyPI)"
    if shutil.which('ros2') is None:
        return 'the command ros2 is not installed (it is not on PyPI)'
    return ''


class Launched:
    """A running command, such as ``ros2 launch``, and all that it starts.

    :param command: command line.
    :param environment: for it and all it starts.
    :param log: file that takes its output.
    """

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self._mark = uuid.uuid4().hex
        self._log = log
        with log.open('w') as stream:
            self.process = subprocess.Popen(
                command,
                env=environment | {MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_heed_ctrl_c,
            )

    def log(self) -> str:
        """Read what it and its nodes have written so far."""
        return self._log.read_text(errors='replace')

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until its log holds a text so many times."""
        until(lambda: self.log().count(text) >= times, lambda: f'no {text!r} in:\n{self.log()}')

    def interrupt(self) -> int:
        """Press Ctrl-C.

        :returns: exit code.
        """
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)

    def processes(self, executable: str = '') -> list[int]:
        """Ids of the processes that it started and that live.

        :param executable: only those whose command line holds this.
        """
        found = []
        for directory in Path('/proc').glob('[0-9]*'):
            try:
                environment = (directory / 'environ').read_bytes()
                command = (directory / 'cmdline').read_bytes()
            except OSError:  # it ended meanwhile, or belongs to somebody else
                continue
            number = int(directory.name)
            ours = f'{MARK}={self._mark}'.encode() in environment and number != self.process.pid
            if ours and executable.encode() in command:
                found.append(number)
        return found

    def end(self) -> None:
        """Leave nothing behind, whatever the test left."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for number in self.processes():
            os.kill(number, signal.SIGKILL)


class Ros:
    """The command line of ROS 2 in a domain of its own."""

    directory = Path(__file__).resolve().parents[2] / 'launch'

    def __init__(self, scratch: Path, domain: int) -> None:
        self._scratch = scratch
        self._environment = os.environ | {
            'ROS_DOMAIN_ID': str(domain),
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            'ROS_HOME': str(scratch / 'ros_home'),
            'PYTHONUNBUFFERED': '1',
        }
        self.fleet_file = scratch / 'fleet.yaml'
        self.fleet_file.write_text(FLEET)

    @contextmanager
    def start(self, *command: str) -> Iterator[Launched]:
        """Start a command; it is dead when the context is left."""
        log = self._scratch / f'{uuid.uuid4().hex}.log'
        launched = Launched(command, self._environment, log)
        try:
            yield launched
        finally:
            launched.end()

    def launch(self, name: str, *arguments: str) -> AbstractContextManager[Launched]:
        """Launch a file of this package on the tiny fleet."""
        path = str(self.directory / name)
        return self.start('ros2', 'launch', path, f'fleet_file:={self.fleet_file}', *arguments)

    def sensors(self) -> AbstractContextManager[Launched]:
        """Publish camera images."""
        module = 'pamdi_ros.demo.sensor_node'
        return self.start(sys.executable, '-m', module, '--fleet', str(self.fleet_file))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``ros2 …`` once."""
        return subprocess.run(
            ['ros2', *words],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
        )

    def says(self, *words: str, holds: str | tuple[str, ...]) -> str:
        """Run ``ros2 …`` until its output holds all texts: a fresh process discovers slowly.

        :returns: the output.
        """
        wanted = (holds,) if isinstance(holds, str) else holds
        output = ''

        def told() -> bool:
            nonlocal output
            try:
                output = self.run(*words).stdout
            except subprocess.TimeoutExpired as error:
                output = f'{error}: {error.stdout}'
            return all(text in output for text in wanted)

        until(told, lambda: f'ros2 {" ".join(words)}: no {holds!r} in:\n{output}')
        return output


def _heed_ctrl_c() -> None:
    """Undo what a shell does to the commands it runs in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def until(condition: Callable[[], bool], complaint: Callable[[], str]) -> None:
    """Wait for a condition."""
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s, complaint()
        time.sleep(0.1)


@pytest.fixture(scope='module')
def ros(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ros]:
    """Yield the command line of ROS 2 in this file's domain."""
    if reason := missing():
        pytest.skip(reason)
    ros = Ros(tmp_path_factory.mktemp('launch'), domain=31)
    yield ros
    ros.run('daemon', 'stop')  # the first command started it
