# SPDX-License-Identifier: Apache-2.0
"""Tasks that make no sense, put straight into inboxes: counted, logged, and the node lives."""

from __future__ import annotations

from array import array
from collections.abc import Callable
import itertools
import time
from typing import Any

from nodes.running_fleet import each_ended_once, RELIABLE, RunningFleet
import numpy as np
from pamdi_ros.msg import Hop, InferenceResult, Task, Tensor
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image

CAMERA = '/trial/one/camera/image_raw'
HUGE = 2**60
#: Each task is an item and a transfer of its own, or it would be taken for a copy.
TRANSFERS = itertools.count(1)


def tensor(values: Any, name: str = '', **changes: Any) -> Tensor:
    data = np.asarray(values)
    code, bits = {'f': (2, 32), 'i': (0, 32), 'l': (0, 64), 'b': (0, 8)}[data.dtype.char]
    message = Tensor(
        name=name, dtype_code=code, dtype_bits=bits, dtype_lanes=1, shape=list(data.shape)
    )
    message.data = array('B', data.tobytes())
    for field, value in changes.items():
        setattr(message, field, value)
    return message


def task(fleet: RunningFleet, *tensors: Tensor, **changes: Any) -> Task:
    """Return a camera item's task that the worker after the first would take, with changes."""
    import zlib

    number, assignment = next(TRANSFERS), fleet.client.assignments[-1]
    (plan,) = [source for source in assignment.sources if source.source == 'camera']
    values: dict[str, Any] = {
        'source': 'camera', 'incarnation': fleet.client.status['one'].incarnation,
        'seq': 10**6 + number, 'home': 'one', 'sender': 'one', 'model': 'resnet18',
        'priority_class': 'critical', 'epoch': assignment.epoch, 'lifespan_s': 5.0,
        'transfer': number, 'next_unit': plan.route[1].first_unit, 'passes_left': 1,
        'tensors': list(tensors), 'hops': [Hop(worker='one', last_unit=3)],
    }  # fmt: skip
    message = Task(**{**values, **changes})
    if 'checksum' not in changes:
        for part in message.tensors:
            message.checksum = zlib.crc32(part.data, message.checksum)
    return message


ONE = np.zeros((1, 2), np.float32)
#: Changes to a task for the second worker: (word counted there, changes).
HOSTILE: dict[str, tuple[str, dict[str, Any]]] = {
    'shape and length disagree': ('bad_tensor', {'tensors': [tensor(ONE, shape=[1, 3])]}),
    'unknown dtype': ('bad_tensor', {'tensors': [tensor(ONE, dtype_bits=7)]}),
    'negative shape': ('bad_tensor', {'tensors': [tensor(ONE, shape=[-1, -2])]}),
    'absurd empty shape': ('bad_tensor', {'tensors': [tensor(ONE[:0], shape=[0, HUGE, HUGE])]}),
    'not what the unit takes': ('bad_tensor', {'tensors': [tensor(ONE)]}),
    'no tensor': ('bad_tensor', {}),
    'unknown model': ('unknown_model', {'model': 'resnet999'}),
    'unknown source': ('unknown_source', {'source': 'nobody'}),
    'unknown class': ('unknown_class', {'priority_class': 'royal'}),
    'unit beyond the model': ('unknown_unit', {'next_unit': 60000}),
    'unknown sender': ('unknown_sender', {'sender': 'nobody'}),
    'future epoch': ('not_ready', {'epoch': 1000, 'lifespan_s': 0.2}),
    'unbelievable epoch': ('bad_epoch', {'epoch': 2**62}),
    'impossible epoch': ('bad_epoch', {'epoch': 2**63}),
    'wrong home': ('wrong_home', {'home': 'two'}),
    'no item': ('bad_item', {'seq': 0}),
    'no pass left': ('bad_pass', {'passes_left': 0}),
    'tokens for an image model': ('bad_tokens', {'tokens': [1, 2]}),
    'wrong checksum': ('bad_checksum', {'checksum': 1, 'tensors': [tensor(ONE)]}),
    'NaN age': ('bad_time', {'age_s': float('nan')}),
    'negative age': ('bad_time', {'age_s': -1.0}),
    'endless lifespan': ('bad_time', {'lifespan_s': float('inf')}),
    'NaN in a hop': ('bad_time', {'hops': [Hop(queue_s=float('nan'))]}),
    'status 7': ('bad_status', {'status': 7}),
    '5000 hops': ('bad_message', {'hops': [Hop()] * 5000}),
    'an answer for another home': ('wrong_home', {'status': 3, 'reason': 'x: y'}),
}


def drops(fleet: RunningFleet, worker: str, word: str) -> int:
    return fleet.client.drops().get(worker, {}).get(word, 0)


def second_worker(fleet: RunningFleet) -> str:
    (plan,) = [s for s in fleet.client.assignments[-1].sources if s.source == 'camera']
    return str(plan.route[1].worker)


def is_served(fleet: RunningFleet) -> bool:
    frame = Image(height=4, width=4, encoding='mono8', step=4, data=bytes(range(16)))
    return bool(fleet.client.ask('camera', CAMERA, frame).status == InferenceResult.RESULT)


def inbox(fleet: RunningFleet, worker: str) -> Any:
    return fleet.client.listened(f'workers/{worker}/inbox/critical', Task, RELIABLE)


def check_counted(fleet: RunningFleet, worker: str, word: str, make: Callable[[], Any]) -> None:
    """Send a task until it is counted, once for each time."""
    publisher, before = inbox(fleet, worker), drops(fleet, worker, word)
    times = fleet.client.publish_until(
        publisher, make, lambda: drops(fleet, worker, word) > before, f'{word} not counted'
    )
    assert drops(fleet, worker, word) - before <= times


@pytest.mark.parametrize('case', HOSTILE)
def test_a_task_that_makes_no_sense_is_counted_and_logged(trial: RunningFleet, case: str) -> None:
    word, changes = HOSTILE[case]
    worker = second_worker(trial)
    check_counted(trial, worker, word, lambda: task(trial, **changes))
    if case not in ('future epoch', 'no tensor'):  # the one is no fault of the message's
        trial.client.until(lambda: f'{word}: ' in trial.log(f'{worker}/executor'), 'not logged')


@pytest.mark.parametrize('length', [0, 3, 4, 20, 150, -4])
def test_damaged_bytes_are_counted(trial: RunningFleet, length: int) -> None:
    whole = serialize_message(task(trial, tensor(ONE)))
    damaged = whole[:length] if length else b'\xde\xad\xbe\xef' * 30
    check_counted(trial, second_worker(trial), 'bad_message', lambda: damaged)


def test_good_items_are_served_after_all_that(trial: RunningFleet) -> None:
    assert all(trial.process(f'{name}/executor').poll() is None for name in trial.fleet.workers)
    assert is_served(trial)
    assert 'Traceback' not in ''.join(trial.log(f'{w}/executor') for w in trial.fleet.workers)


IDS, SCORES = np.arange(2, dtype=np.int32), np.zeros(2, np.float32)
ANSWERS = {
    'no tensors': [],
    'float classes': [tensor(SCORES, 'class_ids'), tensor(SCORES, 'scores')],
    'wide classes': [tensor(IDS.astype(np.int64), 'class_ids'), tensor(SCORES, 'scores')],
    'a square': [tensor(IDS[None], 'class_ids'), tensor(SCORES[None], 'scores')],
    'a scalar': [tensor(IDS[0], 'class_ids'), tensor(SCORES[0], 'scores')],
    'unequal': [tensor(IDS, 'class_ids'), tensor(SCORES[:1], 'scores')],
    'boundary tensors': [tensor(ONE)],
}


@pytest.mark.parametrize('case', ANSWERS)
def test_a_false_answer_fails_its_item_once_and_the_home_lives(
    trial: RunningFleet, case: str
) -> None:
    client = trial.client
    answers, frames = inbox(trial, 'one'), client.listened(CAMERA, Image)
    taker = second_worker(trial)  # nobody else's answer would be believed
    hops = [Hop(worker='one', last_unit=3), Hop(worker=taker, first_unit=3, last_unit=21)]
    client.settled('camera')
    for _ in range(20):  # until one gets there before the true answer
        seq = client.settled('camera').accepted + 1
        false = task(
            trial, *ANSWERS[case], seq=seq, sender=taker, hops=hops,
            next_unit=client.results['camera'][-1].exit_unit or 21,
        )  # fmt: skip
        frames.publish(Image(height=4, width=4, encoding='mono8', step=4, data=bytes(16)))
        end_s = time.monotonic() + 60
        while not any(r.seq == seq for r in client.results['camera']) and time.monotonic() < end_s:
            answers.publish(false)
            client.spin(0.001)
        (result,) = [r for r in client.results['camera'] if r.seq == seq]
        if result.status == InferenceResult.FAILED:
            assert result.reason.startswith('bad_answer: '), result.reason
            break
    else:
        pytest.skip('every true answer was quicker')
    assert is_served(trial)
    stats = client.settled('camera')
    assert each_ended_once(client.results['camera'])
    answered = [r for r in client.results['camera'] if r.status == InferenceResult.RESULT]
    assert len(answered) == stats.results
