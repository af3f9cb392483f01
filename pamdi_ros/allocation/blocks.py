# SPDX-License-Identifier: Apache-2.0
"""A model as the planner cuts it: blocks of units, their time, memory and exits.

Large fleets get fewer, larger blocks than the model has units: a plan's quality hardly depends on
where exactly a model may be cut, the time to find it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from statistics import median

import numpy as np
import numpy.typing as npt
from pamdi_ros.allocation.costs import Costs
from pamdi_ros.fleet import ModelSpec
from pamdi_ros.models.units import UnitTable

Array = npt.NDArray[np.float64]

#: Accuracy taken for a whole model that has exits and no measured accuracy of its own: the plan
#: then gives up the most that it could by leaving early.
UNMEASURED_ACCURACY = 1.0
#: Sets of blocks are kept as bits of an int64: no model may have more.
MOST_BLOCKS = 62


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockExit:
    """Where an item may leave a model.

    :param block: blocks that have run.
    :param unit: units that have run.
    :param accuracy: in [0, 1].
    :param threshold: confidence from which the exit may answer; None: always.
    """

    block: int
    unit: int
    accuracy: float
    threshold: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Blocks:
    """A model's blocks.

    :param model: name of the model.
    :param cuts: first unit of each block, and the number of units.
    :param time_s: of each block at each worker, without the overhead of a stay [s],
        (blocks, workers).
    :param boundary_bytes: bytes that enter each block [byte], (blocks,).
    :param activation_bytes: most bytes alive while each block runs [byte].
    :param tensors: (blocks that read it as a bit mask, size [byte]) of weights, those that the
        same blocks read taken together.
    :param exits: early ones, then the end.
    :param passes: chained passes of one item.
    :param flops_before: of all units before each one, and of all.
    """

    model: str
    cuts: tuple[int, ...]
    time_s: Array
    boundary_bytes: Array
    activation_bytes: tuple[int, ...]
    tensors: tuple[tuple[int, int], ...]
    exits: tuple[BlockExit, ...]
    passes: int
    flops_before: tuple[int, ...]
    _weights: dict[int, int] = field(default_factory=dict)
    _activations: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self.cuts) - 1

    def weight_bytes(self, mask: int) -> int:
        """Return the bytes of weights that a set of blocks reads; a shared tensor counts once."""
        found = self._weights.get(mask)
        if found is None:
            found = sum(size for readers, size in self.tensors if readers & mask)
            self._weights[mask] = found
        return found

    def most_activation_bytes(self, mask: int) -> int:
        """Return the most bytes alive while a set of blocks runs, one after the other."""
        found = self._activations.get(mask)
        if found is None:
            sizes = enumerate(self.activation_bytes)
            found = max((size for block, size in sizes if mask >> block & 1), default=0)
            self._activations[mask] = found
        return found

    @property
    def median_boundary_bytes(self) -> float:
        """Return the median of the bytes that enter a block."""
        return float(median(self.boundary_bytes.tolist()))

    def block_of(self, unit: int) -> int:
        """Return the block that begins at a unit.

        :raises ValueError: none does.
        """
        return self.cuts.index(unit)


def blocks_of(costs: Costs, model: str, most: int) -> Blocks:
    """Group the units of a model into blocks.

    :param most: blocks wanted at most; exits and light ends may add some.
    """
    return blocks_at(costs, model, cuts_of(costs, model, most))


def cuts_of(costs: Costs, model: str, most: int) -> tuple[int, ...]:
    """Return where :func:`blocks_of` cuts a model."""
    table = costs.tables[model]
    exits = _exits(costs.fleet.models[model], len(table))
    return _cuts(table, most, [unit for unit, _, _ in exits])


def blocks_at(costs: Costs, model: str, cuts: tuple[int, ...]) -> Blocks:
    """Return the blocks of a model between cuts.

    :param cuts: from 0 to the number of units, those of its exits among them.
    """
    table, spec = costs.tables[model], costs.fleet.models[model]
    exits = _exits(spec, len(table))
    ranges = list(pairwise(cuts))
    workers = costs.fleet.workers
    time_s = [
        [
            costs.run_s(model, first, last, name) - worker.overhead_s
            for name, worker in workers.items()
        ]
        for first, last in ranges
    ]
    return Blocks(
        model=model,
        cuts=cuts,
        time_s=np.maximum(np.array(time_s), 0.0),
        boundary_bytes=np.array([float(table.boundary_bytes(first)) for first, _ in ranges]),
        activation_bytes=tuple(table.activation_bytes(first, last) for first, last in ranges),
        tensors=_tensors(table, ranges),
        exits=tuple(
            BlockExit(block=cuts.index(unit), unit=unit, accuracy=accuracy, threshold=threshold)
            for unit, accuracy, threshold in exits
        ),
        passes=costs.passes(model),
        flops_before=tuple(accumulate((unit.flops for unit in table.units), initial=0)),
    )


def _exits(spec: ModelSpec, count: int) -> list[tuple[int, float, float | None]]:
    """Return (units run, accuracy, threshold) of each exit, the end last."""
    early = [
        (exit_.unit, exit_.accuracy, exit_.threshold) for exit_ in spec.exits if exit_.unit < count
    ]
    whole = spec.accuracy
    if whole is None:
        whole = UNMEASURED_ACCURACY if early else 0.0
    return [*early, (count, whole, None)]


def _cuts(table: UnitTable, most: int, wanted: Sequence[int]) -> tuple[int, ...]:
    """Choose where a model may be cut: even parts of its work and weights, the thinnest places.

    A light first or last unit is a small part of either and may be the thinnest place of all: half
    a part at each end is looked at too, and cut where that is thinner than most others.
    """
    count = len(table)
    if count <= most:
        return tuple(range(count + 1))
    flops = np.array([float(unit.flops) for unit in table.units])
    bytes_ = np.array([float(unit.weight_bytes) for unit in table.units])
    part = flops / max(flops.sum(), 1.0) + bytes_ / max(bytes_.sum(), 1.0)
    at = np.concatenate([[0.0], np.cumsum(part)]) * most / part.sum()
    thinnest = [
        min(near, key=lambda unit: (table.boundary_bytes(unit), unit)) if near else None
        for block in range(most + 1)
        for near in ([unit for unit in range(1, count) if abs(at[unit] - block) <= 0.5],)
    ]
    inner = {unit for unit in thinnest[1:-1] if unit is not None}
    usual = np.median([table.boundary_bytes(unit) for unit in inner]) if inner else np.inf
    ends = {
        unit
        for unit in (thinnest[0], thinnest[-1])
        if unit is not None and table.boundary_bytes(unit) < usual
    }
    return tuple(sorted({0, count, *wanted, *inner, *ends}))


def _tensors(table: UnitTable, ranges: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    readers: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for block, (first, last) in enumerate(ranges):
        for unit in table.units[first:last]:
            for name, size in unit.weights:
                readers[name] = readers.get(name, 0) | 1 << block
                sizes[name] = size
    grouped: dict[int, int] = {}
    for name, mask in readers.items():
        grouped[mask] = grouped.get(mask, 0) + sizes[name]
    return tuple(sorted(grouped.items()))
