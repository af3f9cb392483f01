# SPDX-License-Identifier: Apache-2.0
"""Blocks that workers hold while a placement is searched, and what still fits.

The same rules as :class:`pamdi_ros.allocation.memory.HeldMemory` (all weights, a shared tensor
once, and the largest activations), on bit masks of blocks, since a search asks often.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from pamdi_ros.allocation.blocks import Blocks
from pamdi_ros.allocation.columns import Column
from pamdi_ros.allocation.problem import PlacementProblem
from pamdi_ros.assignment import Partition

Array = npt.NDArray[np.float64]
Held = npt.NDArray[np.bool_]


class Ranges:
    """What each range of a model's blocks takes besides blocks held already; known ones are kept.

    :param blocks: the model.
    """

    def __init__(self, blocks: Blocks) -> None:
        count = len(blocks)
        first, last = np.arange(count)[:, None], np.arange(count + 1)[None, :]
        self._empty = last <= first
        self._extra: dict[int, Array] = {}
        self._own = np.zeros(count)  # tensors that one block alone reads
        self._tied: list[tuple[int, int, Held]] = []  # readers, size, ranges that read it
        for readers, size in blocks.tensors:
            reading = [block for block in range(count) if readers >> block & 1]
            if len(reading) == 1:
                self._own[reading[0]] = size
            else:
                touched = ((first <= block) & (block < last) for block in reading)
                self._tied.append((readers, size, np.logical_or.reduce(list(touched))))
        self.activations = np.full((count, count + 1), np.inf)  # [first, last)
        sizes = np.array(blocks.activation_bytes, dtype=np.float64)
        for begin in range(count):
            self.activations[begin, begin + 1 :] = np.maximum.accumulate(sizes[begin:])

    def extra(self, held: int) -> Array:
        """Return the weights that blocks [first, last) would add [byte]; infinite where empty."""
        if held not in self._extra:
            blocks = np.arange(len(self._own))
            missing = np.where(held >> blocks & 1, 0.0, self._own)
            before = np.concatenate([[0.0], np.cumsum(missing)])
            found = before[None, :] - before[:-1, None]
            for readers, size, ranges in self._tied:
                if not readers & held:
                    found = found + size * ranges
            self._extra[held] = np.where(self._empty, np.inf, found)
        return self._extra[held]


class Space:
    """Blocks held by each worker, by model, as bit masks.

    :param problem: the problem.
    """

    def __init__(self, problem: PlacementProblem, ranges: dict[str, Ranges] | None = None) -> None:
        self.problem = problem
        self.masks: list[dict[str, int]] = [{} for _ in problem.workers]
        self._weights = [0] * len(problem.workers)
        self._activations = [0] * len(problem.workers)
        self.ranges = (
            {name: Ranges(blocks) for name, blocks in problem.models.items()}
            if ranges is None
            else ranges
        )

    def copy(self) -> Space:
        """Return the same space, to try more."""
        other = Space(self.problem, self.ranges)
        other.masks = [dict(masks) for masks in self.masks]
        other._weights = list(self._weights)
        other._activations = list(self._activations)
        return other

    def empty(self) -> Space:
        """Return a space in which nothing is held."""
        return Space(self.problem, self.ranges)

    def free_bytes(self, worker: int) -> float:
        """Return what is still free at a worker [byte]."""
        return float(self.problem.memory_bytes[worker]) - self.used_bytes(worker)

    def used_bytes(self, worker: int) -> int:
        """Return what a worker holds and needs to run it [byte]."""
        return self._weights[worker] + self._activations[worker]

    def hold(self, worker: int, model: str, mask: int) -> None:
        """Have a worker hold blocks too, whether they fit or not."""
        before = self.masks[worker].get(model, 0)
        if mask & ~before:
            blocks = self.problem.models[model]
            after = before | mask
            self.masks[worker][model] = after
            self._weights[worker] += blocks.weight_bytes(after) - blocks.weight_bytes(before)
            self._activations[worker] = max(
                self._activations[worker], blocks.most_activation_bytes(after)
            )

    def fits(self, worker: int, model: str, mask: int) -> bool:
        """Tell whether a worker can hold blocks too."""
        before = self.masks[worker].get(model, 0)
        if not mask & ~before:
            return True
        blocks = self.problem.models[model]
        weights = blocks.weight_bytes(before | mask) - blocks.weight_bytes(before)
        activations = max(self._activations[worker], blocks.most_activation_bytes(mask))
        total = self._weights[worker] + weights + activations
        return bool(total <= self.problem.memory_bytes[worker])

    def take(self, columns: Iterable[Column]) -> bool:
        """Hold what columns need; False, and no more of them held, where one does not fit."""
        for found in columns:
            model = self.problem.streams[found.source].model
            if not self.has_room(model, found.needs):
                return False
            for worker, mask in found.needs:
                self.hold(worker, model, mask)
        return True

    def keep(self, columns: Iterable[Column]) -> None:
        """Hold what columns need that are known to fit."""
        for found in columns:
            model = self.problem.streams[found.source].model
            for worker, mask in found.needs:
                self.hold(worker, model, mask)

    def has_room(self, model: str, needs: Iterable[tuple[int, int]]) -> bool:
        """Tell whether each of several workers can hold its blocks of a model too.

        :param needs: (worker, blocks as a bit mask), each worker once.
        """
        return all(self.fits(worker, model, mask) for worker, mask in needs)

    def room(self, model: str) -> tuple[Array, Held]:
        """Return what each range of a model's blocks would take at each worker.

        :returns: weights that it adds [byte] and whether it fits, (workers, blocks, blocks + 1).
        """
        ranges = self.ranges[model]
        extra = np.stack([ranges.extra(masks.get(model, 0)) for masks in self.masks])
        held = np.array(self._activations)[:, None, None]
        total = np.array(self._weights)[:, None, None] + extra
        total = total + np.maximum(ranges.activations, held)
        fits: Held = total <= self.problem.memory_bytes[:, None, None]
        fits &= np.isfinite(extra)
        return extra, fits

    def runnable(self, most: int) -> Held:
        """Return which blocks each worker can run for each source.

        :param most: blocks of the largest model.
        :returns: (sources, blocks, workers).
        """
        shifts = np.arange(most, dtype=np.int64)
        by_model = {
            model: (np.array([masks.get(model, 0) for masks in self.masks]) >> shifts[:, None] & 1)
            for model in self.problem.models
        }
        found = [by_model[stream.model] for stream in self.problem.streams]
        return np.array(found, dtype=bool).reshape(len(found), most, len(self.masks))

    def placement(self) -> dict[str, tuple[Partition, ...]]:
        """Return what each worker holds as contiguous ranges of units."""
        found: dict[str, tuple[Partition, ...]] = {}
        for worker, masks in zip(self.problem.workers, self.masks, strict=True):
            parts = tuple(
                part
                for model, mask in masks.items()
                for part in _parts(model, self.problem.models[model].cuts, mask)
            )
            if parts:
                found[worker] = parts
        return found


def everything(problem: PlacementProblem, most: int) -> Held:
    """Return which blocks each worker could hold were it to hold nothing else."""
    found = np.zeros((len(problem.streams), most, len(problem.workers)), dtype=bool)
    for number, stream in enumerate(problem.streams):
        blocks = problem.models[stream.model]
        for block in range(len(blocks)):
            size = blocks.weight_bytes(1 << block) + blocks.activation_bytes[block]
            found[number, block] = size <= problem.memory_bytes
    return found


def _parts(model: str, cuts: tuple[int, ...], mask: int) -> list[Partition]:
    parts: list[Partition] = []
    for block in range(len(cuts) - 1):
        if not mask >> block & 1:
            continue
        if parts and parts[-1].last == cuts[block]:
            parts[-1] = Partition(model, parts[-1].first, cuts[block + 1])
        else:
            parts.append(Partition(model, cuts[block], cuts[block + 1]))
    return parts
