# SPDX-License-Identifier: Apache-2.0
"""What all nodes of a fleet share: parameters, a life cycle that survives faults, exit codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from pamdi_ros.fleet import Fleet
from pamdi_ros.fleet.resources import config_path
from pamdi_ros.nodes.fleet_node import CannotConfigure, FAILED_CODE, FleetNode, PARENT_VARIABLE
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

DOMAIN = 67
PATIENCE_S = 60.0
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class Plain(FleetNode):
    """Writes down what it is asked to do, and fails at what it is told to."""

    def __init__(self) -> None:
        super().__init__('plain')
        self.parameter('period', 2.0, 'between two of something [s]', (0.5, 4.0))
        self.parameter('count', 3, 'of something', (1, 5))
        self.asked: list[str] = []
        self.fails: dict[str, Exception] = {}

    def set_up(self, fleet: Fleet) -> None:
        self._do(f'set up {fleet.name}')

    def start(self) -> None:
        self._do('start')

    def stop(self) -> None:
        self._do('stop')

    def tear_down(self) -> None:
        self._do('tear down')

    def _do(self, what: str) -> None:
        self.asked.append(what)
        if (error := self.fails.get(what)) is not None:
            raise error


@pytest.fixture
def make() -> Iterator[Callable[..., Plain]]:
    """Return what makes a node with parameters."""
    made: list[Plain] = []

    def start(**parameters: object) -> Plain:
        words = [f'{name}:={value}' for name, value in parameters.items()]
        arguments = ['--ros-args', *(word for one in words for word in ('-p', one))]
        rclpy.init(args=arguments, domain_id=DOMAIN)
        made.append(Plain())
        return made[-1]

    yield start
    for node in made:
        node.destroy_node()
    rclpy.try_shutdown()


def demo(**parameters: object) -> dict[str, object]:
    return {'fleet_file': config_path('demo.yaml'), **parameters}


def test_the_whole_life_of_a_node(make: Callable[..., Plain]) -> None:
    node = make(**demo())
    assert node.trigger_configure() is SUCCESS
    assert node.fleet is not None
    assert (node.prefix, node.topic('results')) == ('/demo', '/demo/results')
    assert node.trigger_activate() is SUCCESS
    assert node.trigger_deactivate() is SUCCESS
    assert node.trigger_cleanup() is SUCCESS
    assert node.asked == ['set up demo', 'start', 'stop', 'tear down']
    assert node.trigger_shutdown() is SUCCESS
    assert node.asked[4:] == ['stop', 'tear down']
    assert node.code == 0


def test_a_namespace_is_taken_instead_of_the_fleets(make: Callable[..., Plain]) -> None:
    node = make(**demo(fleet_namespace='/hall/two/'))
    assert node.trigger_configure() is SUCCESS
    assert node.topic('results') == '/hall/two/results'


@pytest.mark.parametrize('text', [None, '', 'fleet: [', 'fleet: f\n'])
def test_what_is_no_fleet_is_a_failed_transition(
    make: Callable[..., Plain], tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / 'fleet.yaml'
    if text is not None:
        path.write_text(text)
    node = make(fleet_file=path)
    assert node.trigger_configure() is FAILURE
    assert node.asked == ['tear down']


def test_no_file_at_all_says_what_to_give(
    make: Callable[..., Plain], capfd: pytest.CaptureFixture[str]
) -> None:
    node = make()
    assert node.trigger_configure() is FAILURE
    assert 'fleet_file is empty; give the path of a fleet.yaml' in capfd.readouterr().err


@pytest.mark.parametrize('error', [CannotConfigure('no such worker'), ZeroDivisionError('ours')])
def test_a_fault_fails_its_transition_and_is_cleaned_up(
    make: Callable[..., Plain], error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    node = make(**demo())
    node.fails['set up demo'] = error
    assert node.trigger_configure() is FAILURE
    assert node.asked == ['set up demo', 'tear down']
    assert str(error) in capfd.readouterr().err
    node.fails.clear()
    assert node.trigger_configure() is SUCCESS
    node.fails['start'] = error
    assert node.trigger_activate() is FAILURE
    node.fails.clear()
    assert node.trigger_activate() is SUCCESS


def test_who_cannot_stop_is_deactivated_and_cleaned_up_all_the_same(
    make: Callable[..., Plain],
) -> None:
    node = make(**demo())
    node.trigger_configure()
    node.trigger_activate()
    node.fails['stop'] = RuntimeError('stuck')
    assert node.trigger_deactivate() is SUCCESS
    assert node.trigger_cleanup() is SUCCESS
    assert node.asked[-2:] == ['stop', 'tear down']


def test_parameters_have_bounds_and_say_what_they_are(make: Callable[..., Plain]) -> None:
    node = make()
    for name, bad, good in (('period', 9.0, 4.0), ('count', 0, 5)):
        (refused,) = node.set_parameters([Parameter(name, value=bad)])
        assert not refused.successful
        (taken,) = node.set_parameters([Parameter(name, value=good)])
        assert taken.successful
        assert node.describe_parameter(name).description.endswith('(read at configure)')


def test_what_is_done_every_so_often_is_done_until_it_is_not(make: Callable[..., Plain]) -> None:
    """Simulated time stands still here."""
    node, calls = make(use_sim_time=True), list[float]()
    loop = SingleThreadedExecutor()
    loop.add_node(node)
    timer = node.every(0.01, lambda: calls.append(time.monotonic()))
    end_s = time.monotonic() + PATIENCE_S
    while len(calls) < 3:
        assert time.monotonic() < end_s, 'the timer stands still'
        loop.spin_once(timeout_sec=0.1)
    assert calls[2] - calls[0] >= 0.01  # one period apart at the least
    node.destroy_timer(timer)
    loop.shutdown()


PROGRAM = """
import sys
from pamdi_ros.nodes.fleet_node import FleetNode, run

class Node(FleetNode):
    def __init__(self):
        super().__init__('lonely')
        self.calls = 0

    def set_up(self, fleet):
        pass

    def start(self):
        self.timer = self.every(0.01, self.work)

    def work(self):
        self.calls += 1
        if self.calls == 1:
            raise ValueError('a callback of ours')
        if self.calls == 2:
            print('goes on', flush=True)
            if sys.argv[1] == 'end':
                self.end('its disk is gone')

    def stop(self):
        print('stopped', flush=True)

    def tear_down(self):
        print('torn down', flush=True)

run(Node)
"""


def program(mode: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a process that runs a node as the executables do."""
    return subprocess.Popen(
        [sys.executable, '-c', PROGRAM, mode, '--ros-args', *arguments],
        env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN), **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


FILE = ('-p', f'fleet_file:={config_path("demo.yaml")}')


def test_a_callback_that_fails_costs_itself_and_a_node_that_ends_says_that_it_failed() -> None:
    process = program('end', *FILE)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert 'a callback failed' in err
    assert 'a callback of ours' in err
    assert 'its disk is gone' in err
    assert out.split('\n')[:3] == ['goes on', 'stopped', 'torn down']
    assert process.returncode == FAILED_CODE


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_who_is_told_to_end_leaves_in_order(number: signal.Signals) -> None:
    process = program('stay', *FILE)
    assert process.stdout is not None
    assert process.stdout.readline() == 'goes on\n'
    process.send_signal(number)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert out.split() == ['stopped', 'torn', 'down']
    assert process.returncode == 0


def test_a_node_of_pamdi_up_that_cannot_configure_ends_and_others_wait_to_be_asked() -> None:
    with_parent = program('stay', **{PARENT_VARIABLE: str(os.getpid())})
    _, err = with_parent.communicate(timeout=PATIENCE_S)
    assert 'cannot configure' in err
    assert with_parent.returncode == 1
    alone = program('stay')
    assert alone.stderr is not None
    while 'cannot configure' not in alone.stderr.readline():
        assert alone.poll() is None
    alone.send_signal(signal.SIGTERM)
    alone.communicate(timeout=PATIENCE_S)
    assert alone.returncode == 0


def test_a_parameter_of_another_type_is_told_in_a_line() -> None:
    process = program('stay', '-p', 'autostart:=perhaps')
    _, err = process.communicate(timeout=PATIENCE_S)
    assert err.startswith('cannot start: ')
    assert 'Traceback' not in err
    assert process.returncode == 2
