# SPDX-License-Identifier: Apache-2.0
"""The units that a worker holds: what it loads next, what it lets go, what of it serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pamdi_ros.worker.commands import Command, FreeUnits, LoadUnit
from pamdi_ros.worker.plan import each_unit, Partition, partitions_of, Unit


@dataclass(slots=True)
class UnitStore:
    """Holds weights by unit; partitions are ranges of them.

    What two assignments share is neither let go nor read again. What is wanted no more goes first,
    then what is missing is loaded, one unit after another: whether somebody else serves meanwhile
    is the allocator's business, which gives assignments in such an order that somebody does. The
    units of a partition serve together, once all are there; those that served before go on.

    :ivar wanted: partitions that the assignment places here, sorted.
    :ivar loading: unit that is being loaded; None: nothing is.
    :ivar failed: why units could not be loaded, under the assignment in force.
    """

    wanted: tuple[Partition, ...] = ()
    loading: Unit | None = None
    failed: dict[Unit, str] = field(default_factory=dict)
    _loaded: set[Unit] = field(default_factory=set)
    _serving: set[Unit] = field(default_factory=set)

    @property
    def serving(self) -> tuple[Partition, ...]:
        """Return what serves, sorted, in ranges as long as they can be."""
        return partitions_of(self._serving)

    @property
    def settled(self) -> bool:
        """Tell whether nothing is left to be loaded: what is missing could not be."""
        return self.loading is None and next(self._missing(), None) is None

    @property
    def progress(self) -> tuple[int, int]:
        """Return how many of the wanted units are there, and how many are wanted."""
        wanted = set(each_unit(self.wanted))
        return len(wanted & self._loaded), len(wanted)

    def want(self, partitions: Sequence[Partition]) -> list[Command]:
        """Take a new assignment's partitions; what failed before is tried again.

        :returns: the command to free what is wanted no more, if there is any.
        """
        self.wanted = tuple(sorted(partitions))
        self.failed.clear()
        gone = self._loaded - set(each_unit(self.wanted))
        self._loaded -= gone
        self._serving -= gone
        self._serve()
        return [FreeUnits(partitions_of(gone))] if gone else []

    def hold(self, partitions: Iterable[Partition]) -> None:
        """Take these partitions for loaded and serving, and nothing else."""
        self._loaded = set(each_unit(partitions))
        self._serving = set(self._loaded)
        self.failed.clear()
        self.loading = None

    def forget(self, model: str) -> list[Command]:
        """Let go of a model whose units are no longer those that were loaded.

        :returns: the command to free them, if there are any.
        """
        gone = {unit for unit in self._loaded if unit[0] == model}
        self._loaded -= gone
        self._serving -= gone
        return [FreeUnits(partitions_of(gone))] if gone else []

    def next(self) -> list[LoadUnit]:
        """Return the command to load the next unit, if one is missing and none is being loaded."""
        if self.loading is not None:
            return []
        self.loading = next(self._missing(), None)
        return [] if self.loading is None else [LoadUnit(*self.loading)]

    def loaded(self, model: str, unit: int, problem: str = '') -> list[Command]:
        """Note that a unit has been loaded, or why it could not be.

        :param problem: empty: it is there.
        :returns: the command to free it, where it is wanted no more.
        """
        if self.loading == (model, unit):
            self.loading = None
        wanted = any(part.covers(model, unit, unit + 1) for part in self.wanted)
        if problem:
            if wanted:
                self.failed[model, unit] = problem
        elif wanted:
            self._loaded.add((model, unit))
        self._serve()
        if wanted or problem:
            return []
        return [FreeUnits((Partition(model, unit, unit + 1),))]

    def _missing(self) -> Iterator[Unit]:
        """Yield what is wanted, neither there nor known to fail, in order."""
        for unit in each_unit(self.wanted):
            if unit not in self._loaded and unit not in self.failed:
                yield unit

    def _serve(self) -> None:
        """Let serve whose partition is whole, and what is there of one that will not be."""
        for part in self.wanted:
            units = set(each_unit((part,)))
            there = units & self._loaded
            if there == units or units <= there | set(self.failed):
                self._serving |= there


def problems_of(failed: Mapping[Unit, str]) -> str:
    """Return why units could not be loaded, each reason once; empty where all could."""
    by_reason: dict[str, list[Unit]] = {}
    for unit, reason in failed.items():
        by_reason.setdefault(reason, []).append(unit)
    return '; '.join(
        ', '.join(f'{part.model}[{part.first}:{part.last})' for part in partitions_of(units))
        + f': {reason}'
        for reason, units in by_reason.items()
    )
