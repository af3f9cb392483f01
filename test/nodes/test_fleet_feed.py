# SPDX-License-Identifier: Apache-2.0
"""The feed against a fleet of one publishing node, which comes, goes and comes again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import time

from nodes.played_fleet import PlayedFleet
from pamdi_ros.monitor.view import FleetView
from pamdi_ros.nodes.monitor.fleet_feed import FleetFeed
import pytest
from rcl_interfaces.msg import SetParametersResult
import rclpy
from rclpy.parameter import Parameter

DOMAIN = 62
PATIENCE_S = 60.0


class Stage(PlayedFleet):
    """A fleet whose allocator judges priorities, too."""

    def __init__(self, prefix: str, incarnation: int, epoch: int) -> None:
        super().__init__(DOMAIN, prefix, incarnations=(incarnation,), epoch=epoch)
        self.node.declare_parameter('priority.camera', 'low')
        self.node.add_on_set_parameters_callback(self._judge)

    @staticmethod
    def _judge(parameters: list[Parameter]) -> SetParametersResult:
        good = all(parameter.value in ('high', 'low') for parameter in parameters)
        return SetParametersResult(successful=good, reason='' if good else 'no such class')


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
