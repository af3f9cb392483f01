# SPDX-License-Identifier: Apache-2.0
"""Heartbeats on the wire."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from nodes.wire_cases import FLEET
from pamdi_ros.msg import Placement, WorkerStatus
from pamdi_ros.nodes.conversions.heartbeat_message import fill, from_message
from pamdi_ros.nodes.wire import BadMessage, limits
from pamdi_ros.nodes.wire.protocol import PROTOCOL_VERSION
from pamdi_ros.worker import Partition
from pamdi_ros.worker.control import Heartbeat
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sweep import cases

SECONDS = st.floats(0, limits.LONGEST_S)
MODELS = st.sampled_from(['net', 'seg'])
PARTS = st.builds(
    lambda model, first, size: Partition(model, first, first + size),
    MODELS, st.integers(0, 1000), st.integers(0, 1000),
)  # fmt: skip
HEARTBEATS = st.builds(
    Heartbeat,
    worker=st.sampled_from(['a', 'b', 'c']),
    incarnation=st.integers(1, limits.LARGEST_NUMBER),
    epoch=st.integers(0, 2**62),
    held=st.lists(PARTS, max_size=3).map(tuple),
    backlog_s=st.tuples(SECONDS, SECONDS),
    queue_lengths=st.tuples(st.integers(0, limits.LARGEST_COUNT), st.integers(0, 9)),
    model_s=st.dictionaries(MODELS, SECONDS),
    slowdown=st.dictionaries(st.sampled_from(['a', 'b', 'c']), st.floats(0.125, 100, width=32)),
)


@settings(max_examples=cases(200), deadline=None)
@given(HEARTBEATS, st.sampled_from(range(4)))
def test_what_is_sent_comes_back_equal(heartbeat: Heartbeat, state: int) -> None:
    message = WorkerStatus(state=state)
    fill(message, heartbeat, FLEET)
    received = from_message(deserialize_message(serialize_message(message), WorkerStatus), FLEET)
    assert received.serving == (state != WorkerStatus.STATE_UNCONFIGURED)
    for name in Heartbeat.__slots__:
        assert name == 'serving' or getattr(received, name) == getattr(heartbeat, name)


def status(**changes: object) -> WorkerStatus:
    """Return a sound status of worker a."""
    values = {
        'protocol_version': PROTOCOL_VERSION, 'worker': 'a', 'incarnation': 1,
        'state': WorkerStatus.STATE_SERVING,
        'placements': [Placement(worker='a', model='net', first_unit=0, last_unit=3)],
        'priority_classes': ['critical', 'normal'], 'queue_lengths': [1, 2],
        'backlog_s': [0.5, 0.25], 'models': ['net'], 'model_s': [0.01],
    }  # fmt: skip
    return WorkerStatus(**{**values, **changes})


def part(**changes: object) -> list[Placement]:
    """Return one placement at worker a."""
    values = {'worker': 'a', 'model': 'net', 'first_unit': 0, 'last_unit': 3}
    return [Placement(**{**values, **changes})]


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'worker': 'z'}, "unknown_worker: 'z' is no worker of fleet duo"),
        ({'protocol_version': 0}, 'other_version: a speaks version 0 of the protocol, this is 1'),
        ({'protocol_version': 2}, 'other_version: .*install one version of pamdi_ros'),
        ({'incarnation': 0}, 'bad_heartbeat: a: run 0'),
        ({'epoch': 2**63}, 'bad_heartbeat: a: run 1, assignment 9223372036854775808'),
        ({'placements': part(worker='b')}, "bad_heartbeat: a says that 'b' holds"),
        ({'placements': part(model='huge')}, "bad_heartbeat: a says that 'a' holds .* of 'huge'"),
        ({'placements': part(first_unit=4)}, r'bad_heartbeat: .* units \[4, 3\)'),
        (
            {'priority_classes': ['critical', 'royal']},
            'unknown_class: a has classes critical, roy',
        ),
        ({'priority_classes': []}, 'unknown_class'),
        ({'queue_lengths': [1]}, 'bad_heartbeat: a: 2 classes, 1 queue lengths, 2 backlogs'),
        ({'backlog_s': [0.5, float('nan')]}, 'bad_time: a: backlog_s = nan'),
        ({'backlog_s': [-1.0, 0.0]}, 'bad_time: a: backlog_s = -1.0'),
        ({'models': []}, 'bad_heartbeat: a: 0 models, 1 times'),
        ({'models': ['huge']}, "unknown_model: a has measured 'huge'"),
        ({'model_s': [float('inf')]}, 'bad_time: a: model_s of net = inf'),
        ({'link_peers': ['b']}, 'bad_heartbeat: a: 1 peers, 0 slowdowns'),
        ({'link_peers': ['z'], 'link_slowdown': [1.0]}, "unknown_worker: a has a link to 'z'"),
        ({'link_peers': ['b'], 'link_slowdown': [0.0]}, 'bad_time: a: link to b is 0.0 x'),
        ({'link_peers': ['b'], 'link_slowdown': [2e6]}, r'link to b is 2000000.0 x .* 1e\+06'),
        ({'link_peers': ['b'] * 4, 'link_slowdown': [1.0] * 4}, '4 links, more than 3'),
        ({'incarnation': 2**63}, 'bad_heartbeat: a: run 9223372036854775808'),
        ({'backlog_s': [2e6, 0.0]}, 'bad_time: a: backlog_s = 2000000.0'),
        ({'queue_lengths': [2**31, 0]}, 'bad_number: a: queue_lengths = 2147483648'),
        ({'model_s': [1e300]}, 'bad_time: a: model_s of net = 1e'),
        ({'models': ['net'] * 3, 'model_s': [1.0] * 3}, '3 models, more than 2'),
        (
            {
                'priority_classes': ['critical', 'normal', 'normal'],
                'queue_lengths': [1, 2, 3],
                'backlog_s': [0.0, 0.0, 0.0],
            },
            '3 classes, more than 2',
        ),
        (
            {'placements': part() * (limits.MOST_PLACEMENTS + 1)},
            '65537 partitions held, more than 65536',
        ),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], reason: str) -> None:
    with pytest.raises(BadMessage, match=reason) as refused:
        from_message(status(**change), FLEET)
    assert refused.value.sender == change.get('worker', 'a')


def test_what_is_measured_beyond_all_bounds_is_told_as_the_bound() -> None:
    far = Heartbeat(
        worker='a', incarnation=1, backlog_s=(1e9, 0.0), queue_lengths=(0, 0),
        model_s={'net': float('inf')}, slowdown={'b': 1e9},
    )  # fmt: skip
    message = WorkerStatus(state=WorkerStatus.STATE_SERVING)
    fill(message, far, FLEET)
    told = from_message(message, FLEET)
    assert told.backlog_s == (limits.LONGEST_S, 0.0)
    assert told.model_s == {'net': limits.LONGEST_S}
    assert told.slowdown == {'b': limits.LARGEST_SLOWDOWN}


def test_classes_in_another_order_are_sorted() -> None:
    heartbeat = from_message(status(priority_classes=['normal', 'critical']), FLEET)
    assert heartbeat.queue_lengths == (2, 1)
    assert heartbeat.backlog_s == (0.25, 0.5)
