# SPDX-License-Identifier: Apache-2.0
"""Workers without arithmetic: sizes are real, nothing is built, nobody takes zeros for answers."""

from __future__ import annotations

from dataclasses import replace

from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.nodes.conversions import result_message
from pamdi_ros.nodes.conversions.task_message import from_message, to_message
from pamdi_ros.nodes.executor.synthetic_engine import SyntheticEngine
from pamdi_ros.nodes.wire import decode_task, encode_task
from pamdi_ros.nodes.wire.placeholder import is_placeholder, placeholder
from pamdi_ros.worker import (
    ComputeUnit,
    Hop,
    ItemKey,
    ModelProfile,
    Partition,
    PipelineStage,
    Plan,
    PlannedExit,
    SourcePlan,
    StageExecution,
    Status,
    Task,
)
import pytest

SIZES = (602_112, 40_000, 40)


def fleet_of(compute: str) -> Fleet:
    return parse_fleet(
        {
            'fleet': 'pair',
            'priority_classes': {'normal': {'weight': 1}},
            'models': {'net': {'zoo': 'gpt2', 'tokens': 16, 'max_new_tokens': 2}},
            'workers': {
                'a': {'ms_per_gflop': 1},
                'b': {'ms_per_gflop': 1, 'emulate': True, 'compute': compute},
            },
            'links': {'default': {'bandwidth_mbps': 100, 'latency_ms': 1}},
            'sources': {
                'talk': {
                    'worker': 'a', 'topic': 't', 'type': 'std_msgs/msg/String', 'model': 'net',
                    'priority': 'normal',
                },
            },
        }
    )  # fmt: skip


FLEET = fleet_of('none')
PLAN = Plan(
    epoch=1,
    placement={'b': (Partition('net', 0, 2),)},
    sources={
        'talk': SourcePlan(
            model='net', priority_class='normal', unit_count=2, route=(PipelineStage('b', 0, 2),)
        )
    },
    models={'net': ModelProfile(flops=(10**6, 10**6), boundary_bytes=SIZES)},
)
TASK = Task(
    key=ItemKey('talk', 1, 1), home='a', model='net', priority_class='normal', rank=0,
    arrived_s=0.0, received_s=0.0, passes_left=2, payload=placeholder(SIZES[0]),
    payload_bytes=SIZES[0], hops=(Hop('b', 0, 2),),
)  # fmt: skip


def stay_of(task: Task, unit: int) -> StageExecution:
    return StageExecution(
        task=task, order=(0.0,), rank=0, unit=unit, last=2, payload=task.payload,
        payload_bytes=task.payload_bytes, tokens=(), passes_left=task.passes_left, raw=False,
        since_s=0.0, first=0,
    )  # fmt: skip


def test_a_pass_goes_from_size_to_size_and_ends_with_the_answers() -> None:
    engine = SyntheticEngine(FLEET, 'b')
    engine.plan(PLAN)
    execution = stay_of(TASK, 0)
    first = engine.run(ComputeUnit(execution, 0, 1, answers=False))
    assert (first.payload_bytes, first.next_pass) == (SIZES[1], False)
    again = engine.run(ComputeUnit(execution, 1, 2, answers=True))
    assert (again.payload_bytes, again.next_pass) == (SIZES[0], True)
    execution.passes_left = 1
    last = engine.run(ComputeUnit(execution, 1, 2, answers=True))
    assert (last.payload_bytes, last.next_pass) == (SIZES[2], False)
    assert all(is_placeholder(outcome.payload) for outcome in (first, again, last))


def test_an_exit_without_content_is_confident() -> None:
    engine = SyntheticEngine(FLEET, 'b')
    engine.plan(PLAN)
    asked = PlannedExit(unit=1, accuracy=0.5, threshold=0.99)
    outcome = engine.run(ComputeUnit(stay_of(TASK, 0), 0, 1, answers=False, exit=asked))
    assert (outcome.confident, outcome.early_bytes) == (True, SIZES[-1])
    assert is_placeholder(outcome.early)
    assert outcome.payload_bytes == SIZES[1]


@pytest.mark.parametrize('size', [0, 1, 65_536, 602_112])
def test_sizes_travel_as_so_many_bytes(size: int) -> None:
    task = replace(TASK, payload=placeholder(size), payload_bytes=size)
    data = encode_task(to_message(task, 'b', 1.0, 7))
    assert size <= len(data) < size + 500
    came = from_message(decode_task(data), FLEET, 2.0)
    assert came.payload_bytes == size
    assert is_placeholder(came.payload)


def answer(compute: str) -> Task:
    home = replace(TASK, next_unit=2, payload=placeholder(40), payload_bytes=40)
    return result_message.with_answer(home, fleet_of(compute), PLAN)


def test_an_empty_answer_counts_where_a_worker_leaves_the_arithmetic_out() -> None:
    assert answer('none').status is Status.RESULT


def test_zeros_are_no_answer_where_all_workers_compute() -> None:
    failed = answer('real')
    assert failed.status is Status.FAILED
    assert failed.reason.startswith('bad_answer: ')


def test_nothing_is_loaded() -> None:
    engine = SyntheticEngine(FLEET, 'b')
    part = Partition('net', 0, 2)
    engine.learn(FLEET.sources.values())
    for unit in range(part.first, part.last):
        engine.load(part.model, unit, timed=True)
    assert engine.held == (part,)
    assert engine.memory_bytes == 0
