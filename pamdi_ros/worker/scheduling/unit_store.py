# SPDX-License-Identifier: Apache-2.0
"""The units that a worker holds: what it loads next, what it lets go, what of it serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pamdi_ros.assignment import each_unit, Partition, partitions_of, Unit
from pamdi_ros.worker.commands import Command, FreeUnits, LoadUnit


@dataclass(slots=True)
class UnitStore:
    """Holds weights by unit; partitions are ranges of them.

    What two assignments share is neither let go nor read again. What is wanted no more goes first,
    then what is missing is loaded, one unit after another: whether somebody else serves meanwhile
    is the allocator's business, which gives assignments in such an order that somebody does. The
    units of a partition serve together, once all are there; those that served before go on.

    A model that is withdrawn is let go; readmitted it is loaded again, and serves once trusted.

    :ivar wanted: partitions that the assignment places here, sorted.
    :ivar loading: unit that is being loaded; None: nothing is.
    :ivar failed: why units could not be loaded, under the assignment in force.
    :ivar withdrawn: models that are neither loaded nor served now.
    :ivar untrusted: models that are loaded, but do not serve.
    """

    wanted: tuple[Partition, ...] = ()
    loading: Unit | None = None
    failed: dict[Unit, str] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    untrusted: set[str] = field(default_factory=set)
    _loaded: set[Unit] = field(default_factory=set)
    _serving: set[Unit] = field(default_factory=set)
    _tried: set[Unit] = field(default_factory=set)
    _again: set[Unit] = field(default_factory=set)

    @property
    def serving(self) -> tuple[Partition, ...]:
        """Return what serves, sorted, in ranges as long as they can be."""
        return partitions_of(self._serving)

    @property
    def settled(self) -> bool:
        """Tell whether nothing is left to be loaded: what is missing could not be.

        What is loaded once more, after a failure, does not count.
        """
        if self.loading is not None and self.loading not in self._tried:
            return False
        known = self._loaded | self._tried
        return all(unit in known for unit in each_unit(self.wanted))

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
        self._again.clear()
        units = set(each_unit(self.wanted))
        self._tried = {unit for unit in units if unit[0] in self.withdrawn}
        gone = self._loaded - units
        self._loaded -= gone
        self._serving -= gone
        self._serve()
        return [FreeUnits(partitions_of(gone))] if gone else []

    def hold(self, partitions: Iterable[Partition]) -> None:
        """Take these partitions for loaded and serving, and nothing else."""
        self._loaded = set(each_unit(partitions))
        self._serving = {unit for unit in self._loaded if unit[0] not in self.untrusted}
        self.failed.clear()
        self.loading = None

    def unload(self, model: str) -> list[Command]:
        """Let go of a model whose units are no longer those that were loaded.

        :returns: the command to free them, if there are any.
        """
        gone = {unit for unit in self._loaded if unit[0] == model}
        self._loaded -= gone
        self._serving -= gone
        return [FreeUnits(partitions_of(gone))] if gone else []

    def withdraw(self, model: str) -> list[Command]:
        """Let go of a model that fails, and do not load it before it is readmitted.

        :returns: as :meth:`unload`.
        """
        self.withdrawn.add(model)
        self.untrusted.add(model)
        self._tried |= {unit for unit in each_unit(self.wanted) if unit[0] == model}
        return self.unload(model)

    def readmit(self, model: str) -> None:
        """Have a model that was withdrawn loaded again, and what could not be loaded tried."""
        self.withdrawn.discard(model)
        self._again |= {unit for unit in self.failed if unit[0] == model}

    def trust(self, model: str) -> None:
        """Let a model that was withdrawn serve."""
        self.untrusted.discard(model)
        self._serve()

    def units_of(self, model: str) -> tuple[int, ...] | None:
        """Return the units of a model that are loaded; None: some are still to be."""
        if self.loading is not None and self.loading[0] == model:
            return None
        if model in self.withdrawn or any(unit[0] == model for unit in self._missing()):
            return None
        return tuple(sorted(unit for name, unit in self._loaded if name == model))

    def next(self) -> list[LoadUnit]:
        """Return the command to load the next unit, if one is missing and none is being loaded."""
        if self.loading is not None:
            return []
        self.loading = next(self._missing(), None)
        if self.loading is None:
            return []
        self._again.discard(self.loading)
        return [LoadUnit(*self.loading)]

    def loaded(self, model: str, unit: int, problem: str = '') -> list[Command]:
        """Note that a unit has been loaded, or why it could not be.

        :param problem: empty: it is there.
        :returns: the command to free it, where it is wanted no more.
        """
        if self.loading == (model, unit):
            self.loading = None
        wanted = model not in self.withdrawn
        wanted = wanted and any(part.covers(model, unit, unit + 1) for part in self.wanted)
        if wanted:
            self._tried.add((model, unit))
        if problem:
            if wanted:
                self.failed[model, unit] = problem
        elif wanted:
            self._loaded.add((model, unit))
            self.failed.pop((model, unit), None)
        self._serve()
        if wanted or problem:
            return []
        return [FreeUnits((Partition(model, unit, unit + 1),))]

    def _missing(self) -> Iterator[Unit]:
        """Yield what is wanted, neither there nor known to fail, in order."""
        for unit in each_unit(self.wanted):
            if unit in self._loaded or unit[0] in self.withdrawn:
                continue
            if unit not in self.failed or unit in self._again:
                yield unit

    def _serve(self) -> None:
        """Let serve whose partition is whole, and what is there of one that will not be."""
        for part in self.wanted:
            if part.model in self.untrusted:
                continue
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
