# SPDX-License-Identifier: Apache-2.0
"""The feed against a fleet of one publishing node, which comes, goes and comes again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import threading
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from pamdi_ros.monitor.view import FleetView
from pamdi_ros.msg import Assignment, InferenceResult, SourceStats, WorkerStatus
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.monitor.fleet_feed import FleetFeed
import pytest
from rcl_interfaces.msg import SetParametersResult
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

DOMAIN = 62
PATIENCE_S = 60.0
PERIOD_S = 0.05


class Stage:
    """A fleet of one worker and one source, played by one node that publishes all there is."""

    def __init__(self, prefix: str, incarnation: int, epoch: int) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=DOMAIN)
        self._node = Node('allocator', namespace=prefix, context=self._context)
        self._node.declare_parameter('priority.camera', 'low')
        self._node.add_on_set_parameters_callback(self._judge)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        make = self._node.create_publisher
        status = make(WorkerStatus, f'{prefix}/workers/robot1/status', qos.status_offered(0.3))
        stats = make(SourceStats, f'{prefix}/sources/camera/stats', qos.STATISTICS)
        results = make(InferenceResult, f'{prefix}/results', qos.RESULT)
        diagnostics = make(DiagnosticArray, '/diagnostics', qos.STATISTICS)
        copies = make(Assignment, f'{prefix}/workers/robot1/assignment', qos.ASSIGNMENT)
        copies.publish(Assignment(fleet=prefix, epoch=epoch))
        warning = DiagnosticStatus(name=f'{prefix}: link a b', level=DiagnosticStatus.WARN)

        def play() -> None:
            now = self._node.get_clock().now().to_msg()
            message = WorkerStatus(worker='robot1', incarnation=incarnation, epoch=epoch)
            message.header.stamp = now
            status.publish(message)
            stats.publish(SourceStats(source='camera', incarnation=incarnation))
            results.publish(InferenceResult(source='camera', seq=1))
            diagnostics.publish(DiagnosticArray(status=[warning]))

        self._node.create_timer(PERIOD_S, play)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _spin(self) -> None:
        while not self._ended.is_set():
            self._executor.spin_once(timeout_sec=PERIOD_S)

    @staticmethod
    def _judge(parameters: list[Parameter]) -> SetParametersResult:
        good = all(parameter.value in ('high', 'low') for parameter in parameters)
        return SetParametersResult(successful=good, reason='' if good else 'no such class')

    def close(self) -> None:
        """Leave, as a fleet does that is stopped."""
        self._ended.set()
        self._thread.join()
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.shutdown()


@pytest.fixture
def feed() -> Iterator[FleetFeed]:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    feed = FleetFeed(context=context).start()
    yield feed
    feed.close()
    context.shutdown()


def until(feed: FleetFeed, good: Callable[[FleetView], object]) -> FleetView:
    """Wait for a view."""
    end_s = time.monotonic() + PATIENCE_S
    while not good(view := feed.snapshot()):
        assert time.monotonic() < end_s, view
        time.sleep(0.02)
    return view


def test_a_fleet_is_found_followed_and_found_again(feed: FleetFeed) -> None:
    assert feed.snapshot().name == ''
    stage = Stage('/site/f', incarnation=1, epoch=4)
    try:
        view = until(feed, lambda view: view.workers and view.sources and view.items)
        assert view.name == 'f'
        assert feed.fleets() == ('/site/f',)
        until(feed, lambda view: view.alerts)
        until(feed, lambda view: view.epoch == 4)
        worker = until(feed, lambda view: view.workers['robot1'].clock_offset_s is not None)
        assert abs(worker.workers['robot1'].clock_offset_s) < PATIENCE_S
    finally:
        stage.close()
    again = Stage('/site/f', incarnation=2, epoch=5)
    try:
        until(feed, lambda view: view.workers['robot1'].incarnation == 2)
    finally:
        again.close()


def test_a_priority_is_set_or_refused_or_nobody_answers(feed: FleetFeed) -> None:
    stage = Stage('/f', incarnation=1, epoch=1)
    try:
        until(feed, lambda view: view.workers)
        for priority, wanted in (('high', ''), ('none', 'no such class')):
            answers: list[str] = []
            # Under load the first request may time out while the service is being found.
            until(feed, lambda _, to=priority, at=answers, want=wanted: asked(feed, to, at, want))
    finally:
        stage.close()
    answers = []
    feed.set_priority('camera', 'low', answers.append)
    until(feed, lambda _: answers)
    assert answers[0].startswith('no answer from /f/allocator/set_parameters')


def asked(feed: FleetFeed, priority: str, answers: list[str], wanted: str) -> bool:
    """Ask once more unless an answer is awaited; tell whether it is the wanted one."""
    if answers and answers[-1] == wanted:
        return True
    if not answers or answers[-1] != '…':
        answers.append('…')
        feed.set_priority('camera', priority, answers.append)
    return False


def test_another_fleet_can_be_followed(feed: FleetFeed) -> None:
    one, two = Stage('/one', incarnation=1, epoch=1), Stage('/two', incarnation=2, epoch=1)
    try:
        until(feed, lambda _: feed.fleets() == ('/one', '/two'))
        feed.follow('/two')
        until(feed, lambda view: view.name == 'two' and view.workers)
        feed.follow('/one')
        view = until(feed, lambda view: view.name == 'one' and view.workers)
        assert view.workers['robot1'].incarnation == 1
    finally:
        one.close()
        two.close()
