# SPDX-License-Identifier: Apache-2.0
"""Memory that no placement can make do with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pamdi_ros.fleet import check_memory, Fleet, parse_fleet
import pytest

MB = 1_000_000


@dataclass
class Sizes:
    """A stand-in for a unit table: weights of each unit, the same activations for all."""

    weights_mb: tuple[int, ...]
    activations_mb: int = 1

    def __len__(self) -> int:
        return len(self.weights_mb)

    def weight_bytes(self, first: int, last: int) -> int:
        return sum(self.weights_mb[first:last]) * MB

    def activation_bytes(self, first: int, last: int) -> int:
        return self.activations_mb * MB


def fleet_with(good: dict[str, Any], *memory_mb: float | None) -> Fleet:
    del good['models']['resnet50']['exits']
    for worker, bound in zip(good['workers'].values(), memory_mb, strict=True):
        worker.pop('memory_mb', None)
        if bound is not None:
            worker['memory_mb'] = bound
    return parse_fleet(good)


def test_models_that_fit_have_no_problem(good: dict[str, Any]) -> None:
    fleet = fleet_with(good, 50, 50, 50)
    assert check_memory(fleet, {'resnet50': Sizes((40, 40)), 'gpt2': Sizes((20, 20))}) == ()


def test_a_unit_that_fits_no_worker(good: dict[str, Any]) -> None:
    fleet = fleet_with(good, 40, 30, 30)
    (problem,) = check_memory(fleet, {'resnet50': Sizes((10, 40))})
    assert problem.path == 'models.resnet50'
    assert 'unit 1 needs 41.0 MB' in problem.message
    assert '41.0' in problem.remedy


def test_weights_beyond_all_workers_together(good: dict[str, Any]) -> None:
    fleet = fleet_with(good, 20, 20, 20)
    tables = {'resnet50': Sizes((15, 15)), 'gpt2': Sizes((15, 17)), 'own': Sizes((900,))}
    (problem,) = check_memory(fleet, tables)  # own has no source and needs no place
    assert problem.path == 'workers'
    assert 'resnet50, gpt2 need 62.0 MB' in problem.message
    assert '2.0 MB' in problem.remedy


def test_one_worker_without_a_bound_is_enough(good: dict[str, Any]) -> None:
    fleet = fleet_with(good, 1, None, 1)
    assert check_memory(fleet, {'resnet50': Sizes((900,))}) == ()


@pytest.mark.parametrize(('weights_mb', 'count'), [((5, 15), 0), ((5, 30), 1)])
def test_units_behind_an_exit_need_a_place(
    good: dict[str, Any], weights_mb: tuple[int, ...], count: int
) -> None:
    fleet_with(good, 20, 20, 20)
    good['models']['resnet50']['exits'] = [{'unit': 1, 'accuracy': 0.5}]
    assert len(check_memory(parse_fleet(good), {'resnet50': Sizes(weights_mb)})) == count
