# SPDX-License-Identifier: Apache-2.0
"""Whether the workers' memory can hold the models at all, before anything is planned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from pamdi_ros.fleet.problems import ConfigProblem, join
from pamdi_ros.fleet.types import Fleet


class UnitSizes(Protocol):
    """What is asked of a model's unit table (``pamdi_ros.models.units.UnitTable``)."""

    def __len__(self) -> int:
        """Count of units."""

    def weight_bytes(self, first: int, last: int) -> int:
        """Bytes of the weights that units [first, last) read, each tensor once."""

    def activation_bytes(self, first: int, last: int) -> int:
        """Most live bytes while one of the units [first, last) runs."""


def check_memory(fleet: Fleet, tables: Mapping[str, UnitSizes]) -> tuple[ConfigProblem, ...]:
    """Problems of models that no placement can hold; none does not promise that one can.

    A worker without memory_mb is unbounded. Units behind an early exit need a place too: an item
    that the exit is not sure of goes on, and a source opens when there is a way to the end.

    :param tables: unit table by model name; models without one are passed over
    :returns: one problem a model with a unit that fits no worker, one for the fleet's total
    """
    bounds = [worker.memory_bytes for worker in fleet.workers.values()]
    known = [bound for bound in bounds if bound is not None]
    if len(known) < len(bounds):
        return ()
    used = {source.model for source in fleet.sources.values()}
    needed = [name for name in fleet.models if name in used and name in tables]
    problems = [
        problem for name in needed for problem in _unit_too_large(name, tables[name], max(known))
    ]
    total = sum(tables[name].weight_bytes(0, len(tables[name])) for name in needed)
    if total > sum(known):
        problems.append(
            ConfigProblem(
                path='workers',
                value=sum(known) / 1e6,
                message=(
                    f'all workers together have {sum(known) / 1e6:.1f} MB, and the weights of '
                    f'{", ".join(needed)} need {total / 1e6:.1f} MB'
                ),
                remedy=f'add {(total - sum(known)) / 1e6:.1f} MB or more, or use smaller models',
            )
        )
    return tuple(problems)


def _unit_too_large(name: str, table: UnitSizes, limit: int) -> Iterator[ConfigProblem]:
    """Problem of a model's largest unit where no worker can hold it."""
    sizes = [
        table.weight_bytes(unit, unit + 1) + table.activation_bytes(unit, unit + 1)
        for unit in range(len(table))
    ]
    largest = max(sizes, default=0)
    if largest > limit:
        yield ConfigProblem(
            path=join('models', name),
            value=name,
            message=(
                f'unit {sizes.index(largest)} needs {largest / 1e6:.1f} MB, '
                f'and no worker has more than {limit / 1e6:.1f} MB'
            ),
            remedy=f'give a worker memory_mb of at least {largest / 1e6:.1f}',
        )
