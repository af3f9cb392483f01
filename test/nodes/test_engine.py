# SPDX-License-Identifier: Apache-2.0
"""The compute half unit by unit: what a stay computes is what the whole model says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.models import Model
from pamdi_ros.nodes.conversions.answer_tensors import AnswerTensors, CannotCompute
from pamdi_ros.nodes.executor.engine import Engine
from pamdi_ros.nodes.wire.placeholder import is_placeholder, placeholder
from pamdi_ros.nodes.wire.torch_tensors import to_wire
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


def mapping_of(**other: object) -> dict[str, Any]:
    return {
            'fleet': 'pair',
            'priority_classes': {'normal': {'weight': 1}},
            'models': {'net': {'zoo': 'resnet56', 'input_shape': [3, 32, 32]}},
            'workers': {'a': {'device': 'cpu'}, 'b': {'device': 'cpu', **other}},
            'links': {'default': {'bandwidth_mbps': 100, 'latency_ms': 1}},
            'sources': {
                'eye': {
                    'worker': 'a', 'topic': 't', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
                    'priority': 'normal', 'publish_outputs': True,
                },
            },
        }  # fmt: skip


def fleet_of(**other: object) -> Fleet:
    return parse_fleet(mapping_of(**other))


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


def test_units_one_by_one_give_the_whole_models_answer(model: Model) -> None:
    count = model.unit_count
    engine = engine_with(fleet_of(), Partition('net', 0, 9), Partition('net', 9, count))
    (image,) = model.example_inputs()
    first = run_all(engine, stay_of((to_wire(image),), 9), count)
    assert first.payload_bytes == model.table.boundary_bytes(9)
    travelled = tuple(to_wire(tensor) for tensor in first.payload)  # type: ignore[attr-defined]
    rest = stay_of(travelled, count)
    rest.unit = 9
    last = run_all(engine, rest, count)
    assert isinstance(last.payload, AnswerTensors)
    with torch.inference_mode():
        wanted = model.module(image)
    assert torch.equal(last.payload.outputs[0], wanted)
    assert last.payload.class_ids[0] == wanted.argmax()


def exits_fleet() -> Fleet:
    """Return the fleet with an exit after 9 units."""
    mapping = mapping_of()
    mapping['models']['net'] |= {'accuracy': 0.9, 'exits': [{'unit': 9, 'accuracy': 0.5}]}
    return parse_fleet(mapping)


@pytest.mark.parametrize(('threshold', 'confident'), [(0.0, True), (1.0, False)])
def test_an_exit_answers_with_its_head_if_it_is_confident(
    model: Model, threshold: float, confident: bool
) -> None:
    fleet = exits_fleet()
    engine = engine_with(fleet, Partition('net', 0, 9))
    execution = stay_of((to_wire(model.example_inputs()[0]),), 9)
    for unit in range(9):
        asked = PlannedExit(unit=9, accuracy=0.5, threshold=threshold) if unit == 8 else None
        outcome = engine.run(ComputeUnit(execution, unit, unit + 1, False, asked))
        execution.payload, execution.unit, execution.compute_s = outcome.payload, unit + 1, 1.0
    boundary = model.partition(0, 9)(*model.example_inputs())
    assert outcome.confident is confident
    assert torch.equal(outcome.payload[0], boundary[0])  # type: ignore[index]
    if confident:
        head = Model.from_spec(fleet.models['net'].as_mapping()).head(9)
        with torch.inference_mode():
            logits = head(*boundary)
        assert isinstance(outcome.early, AnswerTensors)
        assert torch.equal(outcome.early.outputs[0], logits)
        assert outcome.early.scores[0] == logits[0].softmax(dim=0).max()
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
    execution = replace(stay_of(model.example_inputs(), 4), unit=3)
    with pytest.raises(CannotCompute, match='not_held'):
        engine.run(ComputeUnit(execution, 3, 4, False))


def test_another_count_of_units_in_the_assignment_is_no_ground_to_serve(model: Model) -> None:
    engine = Engine(fleet_of(), 'a')
    engine.plan(Plan(models={'net': ModelProfile(flops=(1, 2), boundary_bytes=(1, 1, 1))}))
    with pytest.raises(ValueError, match='units here, but 2 in the assignment'):
        engine.load('net', 0)


class Short:
    """A unit for which memory is short so many times; all else is the unit's."""

    def __init__(self, unit: Any, times: int, on_cpu: str = '') -> None:
        self._unit, self.times, self._on_cpu = unit, times, on_cpu

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unit, name)

    def __call__(self, *tensors: torch.Tensor) -> Any:
        if self.times:
            self.times -= 1
            if self._on_cpu:
                raise RuntimeError(self._on_cpu)
            raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB\nmore')
        return self._unit(*tensors)


def test_where_memory_is_short_what_can_be_is_freed_and_the_unit_run_once_more() -> None:
    engine = engine_with(fleet_of(), Partition('net', 0, 1))
    unit = engine._units['net', 0]
    test = ComputeUnit(stay_of(None, 1), 0, 1, False, test=True)
    engine._units['net', 0] = Short(unit, 1)  # type: ignore[assignment]
    assert engine.run(test).compute_s > 0
    engine._units['net', 0] = Short(unit, 2)  # type: ignore[assignment]
    with pytest.raises(CannotCompute, match=r'^out_of_memory: cpu: CUDA out of memory\. .* GiB$'):
        engine.run(test)


def test_a_processor_without_memory_says_so_too() -> None:
    engine = engine_with(fleet_of(), Partition('net', 0, 1))
    unit = Short(engine._units['net', 0], 2, "DefaultCPUAllocator: can't allocate memory: 9 TB")
    engine._units['net', 0] = unit  # type: ignore[assignment]
    with pytest.raises(CannotCompute, match=r'^out_of_memory: cpu: DefaultCPUAllocator'):
        engine.run(ComputeUnit(stay_of(None, 1), 0, 1, False, test=True))
    assert unit.times == 0


def test_a_test_runs_a_unit_as_an_item_would() -> None:
    engine = engine_with(fleet_of(), Partition('net', 0, 1))
    engine.free([Partition('net', 0, 1)])
    with pytest.raises(CannotCompute, match=r'^not_held: '):
        engine.run(ComputeUnit(stay_of(None, 1), 0, 1, False, test=True))
