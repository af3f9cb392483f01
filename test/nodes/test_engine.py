# SPDX-License-Identifier: Apache-2.0
"""The compute half unit by unit: what a stay computes is what the whole model says."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.models import Model
from pamdi_ros.models.engines.text import TextModel
from pamdi_ros.nodes.conversions.answer_tensors import AnswerTensors, CannotCompute
from pamdi_ros.nodes.executor.engine import Engine
from pamdi_ros.nodes.wire.arrays import to_wire
from pamdi_ros.nodes.wire.placeholder import is_placeholder, placeholder
from pamdi_ros.worker import (
    ComputeUnit,
    ItemKey,
    ModelProfile,
    Partition,
    Plan,
    PlannedExit,
    StageExecution,
    Task,
    UnitResult,
)
import pytest
import torch

Array = np.ndarray[Any, Any]

ENGINES = ('torch', 'onnxruntime')
#: Largest error of an exported unit, as a share of the largest value.
TOLERANCE = 1e-4


def near(found: Array, wanted: torch.Tensor, engine: str) -> bool:
    """Compare what an engine gave with what torch gives: exactly where that is the engine."""
    exact = wanted.numpy()
    away = np.abs(found - exact).max()
    return bool(away <= (0 if engine == 'torch' else TOLERANCE * np.abs(exact).max()))


def arrays_of(tensors: tuple[torch.Tensor, ...]) -> tuple[Array, ...]:
    return tuple(tensor.numpy() for tensor in tensors)


def mapping_of(engine: str = 'torch', **other: object) -> dict[str, Any]:
    return {
            'fleet': 'pair',
            'priority_classes': {'normal': {'weight': 1}},
            'models': {'net': {'zoo': 'resnet56', 'input_shape': [3, 32, 32]}},
            'workers': {
                'a': {'device': 'cpu', 'engine': engine}, 'b': {'device': 'cpu', **other},
            },
            'links': {'default': {'bandwidth_mbps': 100, 'latency_ms': 1}},
            'sources': {
                'eye': {
                    'worker': 'a', 'topic': 't', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
                    'priority': 'normal', 'publish_outputs': True,
                },
            },
        }  # fmt: skip


def fleet_of(engine: str = 'torch', **other: object) -> Fleet:
    return parse_fleet(mapping_of(engine, **other))


@pytest.fixture(scope='module')
def model() -> Model:
    return Model.from_spec(fleet_of().models['net'].as_mapping())


def engine_with(fleet: Fleet, *parts: Partition) -> Engine:
    engine = Engine(fleet, 'a')
    for part in parts:
        for unit in range(part.first, part.last):
            seconds = engine.load(part.model, unit)
            assert seconds is not None and seconds > 0
    return engine


def stay_of(payload: object, last: int, size: int = 0) -> StageExecution:
    task = Task(
        key=ItemKey('eye', 1, 1), home='a', model='net', priority_class='normal', rank=0,
        arrived_s=0.0, received_s=0.0, payload=payload, payload_bytes=size,
    )  # fmt: skip
    return StageExecution(
        task=task, order=(0.0,), rank=0, unit=0, last=last, payload=payload, payload_bytes=size,
        tokens=(), passes_left=1, raw=False, since_s=0.0, first=0,
    )  # fmt: skip


def run_all(engine: Engine, execution: StageExecution, count: int) -> UnitResult:
    """Run a stay's units as the state machine does."""
    while True:
        unit = execution.unit
        outcome = engine.run(ComputeUnit(execution, unit, unit + 1, unit + 1 == count))
        assert outcome.compute_s > 0
        execution.compute_s += outcome.compute_s
        execution.payload, execution.payload_bytes = outcome.payload, outcome.payload_bytes
        execution.unit += 1
        if execution.unit == execution.last:
            return outcome


@pytest.mark.parametrize('name', ENGINES)
def test_units_one_by_one_give_the_whole_models_answer(model: Model, name: str) -> None:
    count = model.unit_count
    engine = engine_with(fleet_of(name), Partition('net', 0, 9), Partition('net', 9, count))
    (image,) = model.example_inputs()
    first = run_all(engine, stay_of((to_wire(image.numpy()),), 9), count)
    assert first.payload_bytes == model.table.boundary_bytes(9)
    travelled = tuple(to_wire(tensor) for tensor in first.payload)  # type: ignore[attr-defined]
    rest = stay_of(travelled, count)
    rest.unit = 9
    last = run_all(engine, rest, count)
    assert isinstance(last.payload, AnswerTensors)
    with torch.inference_mode():
        wanted = model.module(image)
    assert near(last.payload.outputs[0], wanted, name)
    assert last.payload.class_ids[0] == wanted.argmax()
    assert engine.engines == {'net': f'{name} cpu'}
    assert engine.memory_bytes >= model.table.weight_bytes(0, count)


def test_a_session_of_several_units_gives_what_they_give_one_by_one(model: Model) -> None:
    count = model.unit_count
    engine = engine_with(fleet_of('onnxruntime'), Partition('net', 0, count))
    assert engine.fuses('net')
    held_bytes = engine.memory_bytes
    assert engine.load_session('net', 3, 9) > 0
    assert engine.memory_bytes > held_bytes
    inputs = arrays_of(model.example_inputs())
    execution = stay_of(inputs, count)
    for first, last in ((0, 1), (1, 2), (2, 3), (3, 9), (9, 12)):
        result = engine.run(ComputeUnit(execution, first, last, False))
        execution.payload, execution.unit, execution.compute_s = result.payload, last, 1.0
    boundary = model.partition(0, 12)(*model.example_inputs())
    assert isinstance(result.payload, tuple)
    assert near(result.payload[0], boundary[0], 'onnxruntime')
    engine.free_sessions([Partition('net', 3, 9)])
    assert engine.memory_bytes == held_bytes


def test_a_session_that_stands_alone_still_serves_who_enters_in_its_middle(model: Model) -> None:
    engine = engine_with(fleet_of('onnxruntime'), Partition('net', 0, 4))
    engine.load_session('net', 0, 4, alone=True)
    middle = model.partition(0, 2)(*model.example_inputs())
    execution = replace(stay_of(arrays_of(middle), 4), unit=2, first=2)
    result = engine.run(ComputeUnit(execution, 2, 3, False))
    assert near(result.payload[0], model.partition(2, 3)(*middle)[0], 'onnxruntime')  # type: ignore[index]


def text_fleet() -> Fleet:
    mapping = mapping_of('onnxruntime')
    mapping['models']['net'] = {
        'zoo': 'gpt2', 'tokens': 12,
        'arguments': {
            'n_layer': 2, 'n_embd': 32, 'n_head': 2, 'vocab_size': 50257, 'n_positions': 32,
        },
    }  # fmt: skip
    mapping['sources']['eye'] |= {'type': 'std_msgs/msg/String', 'publish_outputs': False}
    return parse_fleet(mapping)


@pytest.mark.parametrize('alone', [False, True])
def test_a_session_over_a_texts_last_unit_narrows_it_on_its_way(alone: bool) -> None:
    fleet = text_fleet()
    model = Model.from_spec(fleet.models['net'].as_mapping())
    count = model.unit_count
    assert model.narrow_at == count - 1
    tokens = (17, 300, 5)
    inputs = TextModel(model).inputs(tokens)

    def next_token(engine: Engine, *cuts: int) -> int:
        execution = stay_of(inputs, count)
        execution.tokens = tokens
        for first, last in pairwise((0, *cuts, count)):
            result = engine.run(ComputeUnit(execution, first, last, last == count))
            execution.payload, execution.unit, execution.compute_s = result.payload, last, 1.0
        assert result.tokens[:-1] == tokens
        return result.tokens[-1]

    engine = engine_with(fleet, Partition('net', 0, count))
    expected = next_token(engine, *range(1, count))
    engine.load_session('net', 0, count, alone)
    held_bytes = engine.memory_bytes
    assert next_token(engine) == expected
    zeros = ComputeUnit(stay_of(None, count), 0, count, False, test=True)
    assert engine.run(zeros).compute_s > 0
    assert engine.memory_bytes == held_bytes  # all that it runs was there


def exits_fleet(engine: str) -> Fleet:
    """Return the fleet with an exit after 9 units."""
    mapping = mapping_of(engine)
    mapping['models']['net'] |= {'accuracy': 0.9, 'exits': [{'unit': 9, 'accuracy': 0.5}]}
    return parse_fleet(mapping)


@pytest.mark.parametrize('name', ENGINES)
@pytest.mark.parametrize(('threshold', 'confident'), [(0.0, True), (1.0, False)])
def test_an_exit_answers_with_its_head_if_it_is_confident(
    model: Model, threshold: float, confident: bool, name: str
) -> None:
    fleet = exits_fleet(name)
    engine = engine_with(fleet, Partition('net', 0, 9))
    execution = stay_of((to_wire(model.example_inputs()[0].numpy()),), 9)
    for unit in range(9):
        asked = PlannedExit(unit=9, accuracy=0.5, threshold=threshold) if unit == 8 else None
        outcome = engine.run(ComputeUnit(execution, unit, unit + 1, False, asked))
        execution.payload, execution.unit, execution.compute_s = outcome.payload, unit + 1, 1.0
    boundary = model.partition(0, 9)(*model.example_inputs())
    assert outcome.confident is confident
    assert near(outcome.payload[0], boundary[0], name)  # type: ignore[index]
    if confident:
        head = Model.from_spec(fleet.models['net'].as_mapping()).head(9)
        with torch.inference_mode():
            logits = head(*boundary)
        assert isinstance(outcome.early, AnswerTensors)
        assert near(outcome.early.outputs[0], logits, name)
        assert outcome.early.scores[0] == pytest.approx(float(logits[0].softmax(dim=0).max()))
        assert outcome.early_bytes == 5 * 8 + 10 * 4


def test_what_a_worker_without_arithmetic_sends_is_computed_for_its_time_only(
    model: Model,
) -> None:
    count = model.unit_count
    engine = engine_with(
        fleet_of(ms_per_gflop=1, emulate=True, compute='none'), Partition('net', 0, count)
    )
    size = model.table.boundary_bytes(0)
    outcome = run_all(engine, stay_of(placeholder(size), count, size), count)
    assert is_placeholder(outcome.payload)
    assert outcome.payload_bytes == 5 * 8


def test_zeros_by_that_name_are_no_tensors_where_all_workers_compute(model: Model) -> None:
    engine = engine_with(fleet_of(), Partition('net', 0, 2))
    with pytest.raises(CannotCompute, match='bad_tensor'):
        engine.run(ComputeUnit(stay_of(placeholder(100), 2), 0, 1, False))


def test_units_that_are_not_held_cost_the_item(model: Model) -> None:
    engine = engine_with(fleet_of(), Partition('net', 0, 2))
    execution = replace(stay_of(arrays_of(model.example_inputs()), 4), unit=3)
    with pytest.raises(CannotCompute, match='not_held'):
        engine.run(ComputeUnit(execution, 3, 4, False))


def test_another_count_of_units_in_the_assignment_is_no_ground_to_serve(model: Model) -> None:
    engine = Engine(fleet_of(), 'a')
    engine.plan(Plan(models={'net': ModelProfile(flops=(1, 2), boundary_bytes=(1, 1, 1))}))
    with pytest.raises(ValueError, match='units here, but 2 in the assignment'):
        engine.load('net', 0)


class Short:
    """An engine for which memory is short so many times; all else is the engine's."""

    def __init__(self, engine: Any, times: int, error: Exception) -> None:
        self._engine, self.times, self._error = engine, times, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def run(self, *args: Any) -> Any:
        if self.times:
            self.times -= 1
            raise self._error
        return self._engine.run(*args)


@pytest.mark.parametrize(
    'error',
    [
        torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB\nmore'),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 TB"),
        RuntimeError('[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer'),
        MemoryError('nothing left'),
    ],
)
def test_where_memory_is_short_what_can_be_is_freed_and_the_unit_run_once_more(
    error: Exception,
) -> None:
    engine = engine_with(fleet_of(), Partition('net', 0, 1))
    sound = engine._engines['net']
    test = ComputeUnit(stay_of(None, 1), 0, 1, False, test=True)
    engine._engines['net'] = Short(sound, 1, error)
    assert engine.run(test).compute_s > 0
    short = engine._engines['net'] = Short(sound, 2, error)
    with pytest.raises(CannotCompute) as caught:
        engine.run(test)
    assert str(caught.value) == f'out_of_memory: cpu: {str(error).splitlines()[0]}'
    assert short.times == 0


def test_a_test_runs_a_unit_as_an_item_would() -> None:
    engine = engine_with(fleet_of(), Partition('net', 0, 1))
    engine.free([Partition('net', 0, 1)])
    with pytest.raises(CannotCompute, match=r'^not_held: '):
        engine.run(ComputeUnit(stay_of(None, 1), 0, 1, False, test=True))
