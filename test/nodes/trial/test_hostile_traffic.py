# SPDX-License-Identifier: Apache-2.0
"""Control traffic and pieces that make no sense, put straight on a worker's topics."""

from __future__ import annotations

from array import array
import itertools
import math
from typing import Any
import zlib

from nodes.running_fleet import RELIABLE, RunningFleet
from pamdi_ros.msg import (
    Chunk,
    ClearToCompute,
    Control,
    Credit,
    InferenceResult,
    ItemRelease,
    RequestToCompute,
    TaskAck,
)
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image

CAMERA = '/trial/one/camera/image_raw'
WORKER = 'three'
ITEM = {'source': 'camera', 'incarnation': 1, 'seq': 1}
TRANSFERS = itertools.count(10**9)
GARBAGE = [b'\x00\x01\x00\x00', b'\xde\xad\xbe\xef' * 30, b'\x00\x01\x00\x00' + b'\xff' * 64]


def drops(fleet: RunningFleet, word: str) -> int:
    return fleet.client.drops().get(WORKER, {}).get(word, 0)


def topic(fleet: RunningFleet, name: str) -> Any:
    kind = Control if name == 'control' else Chunk
    return fleet.client.listened(f'workers/{WORKER}/{name}', kind, RELIABLE)


def check_counted(fleet: RunningFleet, word: str, name: str, message: Any) -> None:
    """Send a message until it is counted, and logged with its reason."""
    before = drops(fleet, word)
    fleet.client.publish_until(
        topic(fleet, name), lambda: message, lambda: drops(fleet, word) > before, f'{word}: none'
    )
    fleet.client.until(lambda: f'{word}: ' in fleet.log(f'{WORKER}/executor'), 'it is not logged')


def request(**changes: Any) -> RequestToCompute:
    values = {**ITEM, 'request': 1, 'model': 'resnet18', 'priority_class': 'critical'}
    return RequestToCompute(**{**values, **changes})


HOSTILE_CONTROL = {
    'NaN age': ('bad_time', {'requests': [request(age_s=math.nan)]}),
    'unknown class': ('unknown_class', {'requests': [request(priority_class='royal')]}),
    'unknown model': ('unknown_model', {'requests': [request(model='resnet999')]}),
    'endless wait': ('bad_time', {'clearances': [ClearToCompute(granted=True, wait_s=math.inf)]}),
    'NaN weight': ('bad_number', {'clearances': [ClearToCompute(pushed_back=math.nan)]}),
    'unknown source': ('unknown_source', {'releases': [ItemRelease(source='x', seq=1)]}),
    'no item': ('bad_item', {'acks': [TaskAck(source='camera', transfer=1)]}),
    'unknown sender': ('unknown_sender', {'sender': 'nobody', 'credits': [Credit(transfer=1)]}),
    'no run': ('bad_number', {'incarnation': 0, 'credits': [Credit(transfer=1)]}),
    'its own name': ('own_name', {'sender': WORKER, 'credits': [Credit(transfer=1)]}),
}


@pytest.mark.parametrize('case', HOSTILE_CONTROL)
def test_control_traffic_that_makes_no_sense_is_refused(trial: RunningFleet, case: str) -> None:
    word, changes = HOSTILE_CONTROL[case]
    check_counted(
        trial, word, 'control', Control(**{'sender': 'one', 'incarnation': 1, **changes})
    )


@pytest.mark.parametrize('name', ['control', 'chunks/critical'])
@pytest.mark.parametrize('data', GARBAGE)
def test_bytes_that_are_no_message_are_refused(
    trial: RunningFleet, name: str, data: bytes
) -> None:
    if name == 'control' and data == GARBAGE[0]:
        pytest.skip('the middleware reads this as an empty message')
    check_counted(trial, 'bad_message', name, data)


def chunk(**changes: Any) -> Chunk:
    data = bytes(range(100))
    values: dict[str, Any] = {
        'sender': 'one', 'incarnation': 5, 'transfer': next(TRANSFERS), 'index': 0, 'count': 2,
        'total_bytes': 200, 'age_s': 0.1, 'checksum': zlib.crc32(data), 'data': array('B', data),
    }  # fmt: skip
    return Chunk(**{**values, **changes})


HOSTILE_CHUNKS = {
    'damaged': ('bad_checksum', {'checksum': 1}),
    'one piece': ('bad_chunk', {'count': 1}),
    'beyond the last': ('bad_chunk', {'index': 2}),
    'of another size': ('bad_chunk', {'total_bytes': 300}),
    'absurdly large': ('too_large', {'total_bytes': 2**60, 'count': 2**31}),
    'NaN age': ('bad_time', {'age_s': math.nan}),
    'unknown sender': ('unknown_sender', {'sender': 'nobody'}),
}


@pytest.mark.parametrize('case', HOSTILE_CHUNKS)
def test_a_piece_that_makes_no_sense_is_refused(trial: RunningFleet, case: str) -> None:
    word, changes = HOSTILE_CHUNKS[case]
    check_counted(trial, word, 'chunks/critical', chunk(**changes))


def test_pieces_that_contradict_each_other_are_refused(trial: RunningFleet) -> None:
    first = chunk()
    topic(trial, 'chunks/critical').publish(first)
    check_counted(
        trial, 'bad_chunk', 'chunks/critical',
        chunk(transfer=first.transfer, index=1, count=4, total_bytes=400),
    )  # fmt: skip


def test_pieces_that_make_no_task_are_refused(trial: RunningFleet) -> None:
    first = chunk()
    topic(trial, 'chunks/critical').publish(first)
    check_counted(
        trial, 'bad_message', 'chunks/critical',
        serialize_message(chunk(transfer=first.transfer, index=1)),
    )  # fmt: skip


def test_good_items_are_served_after_all_that(trial: RunningFleet) -> None:
    frame = Image(height=4, width=4, encoding='mono8', step=4, data=bytes(range(16)))
    assert trial.client.ask('camera', CAMERA, frame).status == InferenceResult.RESULT
    assert 'Traceback' not in trial.log(f'{WORKER}/executor')
