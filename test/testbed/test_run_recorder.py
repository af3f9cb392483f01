# SPDX-License-Identifier: Apache-2.0
"""What is made of the messages of a run of real processes."""

from __future__ import annotations

import time
from typing import Any

from pamdi_ros.experiments.calibration import rigs
from pamdi_ros.experiments.fleets import tables_of
from pamdi_ros.msg import Assignment, InferenceResult, SourceStats, WorkerStatus
from pamdi_ros.simulation.load import loaded
from pamdi_ros.simulation.setup import Setup
from pamdi_ros.testbed.run_recorder import busy_s, RunRecorder, unmatched
from pamdi_ros.worker.task import Status
import pytest
from rclpy.time import Time

RIG = rigs()[1]
TABLES = tables_of(RIG.fleet)
SECONDS = 4.0
#: Sources of the fleet.
URGENT, TEXT = 'urgent', 'text'


def listener(sent: dict[str, list[float]], ago_s: float = 0.0) -> RunRecorder:
    """Return one whose run began a while ago."""
    setup = Setup(
        fleet=loaded(RIG.fleet, TABLES, 0.6), tables=TABLES, policy='pa_mdi_plus', seconds=SECONDS
    )
    accepted = dict.fromkeys(sent, 7)
    return RunRecorder(setup, time.time() - ago_s, {URGENT: [], TEXT: [], **sent}, accepted)


def stamp(told: RunRecorder, at_s: float) -> Any:
    """Return a stamp of a time since the begin."""
    return Time(nanoseconds=round(1e9 * (told.begin_s + at_s))).to_msg()


def result(told: RunRecorder, seq: int, at_s: float, **fields: Any) -> InferenceResult:
    """Return the end of an item that arrived then."""
    message = InferenceResult(source=URGENT, seq=seq, incarnation=3, latency_s=0.25)
    message.header.stamp = stamp(told, at_s)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def stats(told: RunRecorder, source: str, at_s: float, in_flight: int = 0) -> SourceStats:
    """Return statistics of then."""
    message = SourceStats(source=source, in_flight=in_flight)
    message.header.stamp = stamp(told, at_s)
    return message


def test_ends_are_told_as_the_simulator_tells_them() -> None:
    told = listener({URGENT: [0.5, 1.0]})
    expired = result(told, 9, 1.001, status=InferenceResult.EXPIRED, reason='late: by 1 s')
    for message in (expired, result(told, 8, 0.5), result(told, 1, -30.0), expired):
        told(message)
    run = told.told({URGENT: 9})
    assert [(end.key.seq, end.status) for end in run.ends] == [
        (8, Status.RESULT),
        (9, Status.EXPIRED),
    ]
    assert run.ends[0].latency_s == pytest.approx(0.25)
    assert run.arrivals[URGENT] == pytest.approx([0.5, 1.001], abs=1e-6)
    assert len(run.violations) == 1
    assert 'ended twice' in run.violations[0]
    assert (run.unfinished, run.left) == ([], [])


def test_an_accepted_item_without_an_end_is_told() -> None:
    told = listener({URGENT: [0.5, 1.0, 2.0, 3.0]})
    for seq, at_s in enumerate((0.501, 2.001)):
        told(result(told, seq, at_s))
    run = told.told({URGENT: 7 + 3})
    assert len(run.unfinished) == 1
    assert run.arrivals[URGENT] == pytest.approx([0.501, 1.0, 2.001], abs=1e-6)
    assert run.left == ['1 of 4 messages of urgent reached no home']
    assert run.open_samples[URGENT][-1] == (SECONDS, 1)


def test_a_run_is_over_when_nothing_is_open_and_every_end_was_heard() -> None:
    told = listener({URGENT: [0.5]}, ago_s=SECONDS + 1)
    told(stats(told, TEXT, SECONDS + 0.1))
    told(stats(told, URGENT, SECONDS + 0.1, in_flight=1))
    assert not told.is_over()
    told(stats(told, URGENT, SECONDS + 0.2))
    assert not told.is_over()
    told(result(told, 1, -30.0))  # of another run
    assert not told.is_over()
    told(result(told, 8, 0.5))
    assert told.is_over()


def test_a_message_that_never_came_does_not_hold_a_run_up_for_ever() -> None:
    told = listener({URGENT: [0.5]}, ago_s=SECONDS + 5)
    told(stats(told, TEXT, SECONDS + 3))
    told(stats(told, URGENT, SECONDS + 3))
    assert told.is_over()


def test_a_plan_counts_once_however_often_it_is_sent() -> None:
    told = listener({}, ago_s=1.0)
    for epoch in (5, 5, 6, 6, 5):
        told(Assignment(epoch=epoch))
    assert [plan.epoch for _, plan in told.told({}).plans] == [5, 6]


def test_bytes_of_a_run_are_those_since_its_begin() -> None:
    told = listener({}, ago_s=1.0)
    for name, incarnation, sent in (('nano1', 1, 100), ('nano1', 1, 350), ('xavier1', 1, 50),
                                    ('xavier1', 2, 30)):  # fmt: skip
        told(WorkerStatus(worker=name, incarnation=incarnation, bytes_out=sent))
    assert told.told({}).bytes_out == {'nano1': 250, 'xavier1': 30}


@pytest.mark.parametrize(
    ('shares', 'expected'),
    [
        ([(0.5, 0.0), *((1 + 0.1 * n, 0.6) for n in range(1, 31)), (4.5, 0.0)], 2.4),
        ([], 0.0),
        # Silent from 2 s on.
        ([(1 + 0.1 * n, 0.9) for n in range(1, 11)], 1.2),
    ],
)
def test_busy_time(shares: list[tuple[float, float]], expected: float) -> None:
    assert busy_s(shares, SECONDS) == pytest.approx(expected)


@pytest.mark.parametrize(
    ('sent', 'arrived', 'left'),
    [
        ([1.0, 2.0, 3.0], [1.001, 3.002], [2.0]),
        ([1.0, 1.01, 1.02], [1.001, 1.011, 1.021], []),
        ([1.0, 1.01, 1.02], [1.021], [1.0, 1.01]),
        ([1.0], [], [1.0]),
    ],
)
def test_messages_of_which_nothing_is_known(
    sent: list[float], arrived: list[float], left: list[float]
) -> None:
    assert unmatched(sent, arrived) == left
