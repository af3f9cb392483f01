# SPDX-License-Identifier: Apache-2.0
"""What is to be planned, as one frozen object: workers, wires, models, sources, weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from pamdi_ros.allocation.blocks import Blocks, blocks_at, blocks_of, cuts_of, MOST_BLOCKS
from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.demand import demands
from pamdi_ros.allocation.wires import Wires

Array = npt.NDArray[np.float64]

_NO_CLASSES: Mapping[str, str] = MappingProxyType({})
_NO_RATES: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """A source as the planner sees it.

    :param name: of the source.
    :param home: number of its worker.
    :param model: name of its model.
    :param priority: name of the class in force.
    :param rank: of that class; 0 is the most urgent.
    :param weight: γ of that class.
    :param rate_hz: measured, declared or assumed, λ [1/s].
    :param deadline_s: latency that an item should keep [s]; None: no deadline.
    :param lifespan_s: age at which an item is dropped [s].
    """

    name: str
    home: int
    model: str
    priority: str
    rank: int
    weight: float
    rate_hz: float
    deadline_s: float | None
    lifespan_s: float


@dataclass(frozen=True, kw_only=True, eq=False)
class PlacementProblem:
    """A fleet, what its models cost and what is asked of it.

    A *resource* is what tasks wait for: worker n is resource n, wire w is ``workers + w``.

    :param costs: the fleet and its models' tables.
    :param workers: names, in the fleet file's order.
    :param s_per_flop: time of a FLOP at each worker, by model [s/FLOP].
    :param overhead_s: of a stay at each worker [s], (workers,).
    :param memory_bytes: bound of each worker, infinite where there is none [byte], (workers,).
    :param wires: the network.
    :param models: blocks of each model in use, by name.
    :param streams: sources whose model has a table, the most urgent first.
    :param classes: names of the priority classes, the most urgent first.
    :param steps: γ_c − γ_{c+1}, what waiting behind classes up to c costs more, (classes,).
    :param accuracy_gain: α [s].
    """

    costs: Costs
    workers: tuple[str, ...]
    s_per_flop: Mapping[str, tuple[float, ...]]
    overhead_s: Array
    memory_bytes: Array
    wires: Wires
    models: Mapping[str, Blocks]
    streams: tuple[Stream, ...]
    classes: tuple[str, ...]
    steps: Array
    accuracy_gain: float

    @classmethod
    def from_costs(
        cls,
        costs: Costs,
        *,
        priorities: Mapping[str, str] = _NO_CLASSES,
        rates_hz: Mapping[str, float] = _NO_RATES,
        most_blocks: int | None = None,
    ) -> PlacementProblem:
        """Build the problem of a fleet.

        :param priorities: class by source, where it differs from the fleet file.
        :param rates_hz: measured rate by source, in place of the declared one [1/s].
        :param most_blocks: blocks of a model, at most; None: by the size of the fleet.
        :raises ValueError: a source or class that the fleet does not have.
        """
        fleet = costs.fleet
        for name in rates_hz:
            if name not in fleet.sources:
                raise ValueError(f'{name!r} is no source of fleet {fleet.name}')
        names = tuple(fleet.workers)
        number = {name: index for index, name in enumerate(names)}
        asked = [d for d in demands(fleet, priorities) if d.source.model in costs.tables]
        most = blocks_for(len(names)) if most_blocks is None else most_blocks
        weights = np.array([priority.weight for priority in fleet.priority_classes])
        return cls(
            costs=costs,
            workers=names,
            s_per_flop={
                model: tuple(costs.seconds_per_flop(name, model) for name in names)
                for model in dict.fromkeys(demand.source.model for demand in asked)
            },
            overhead_s=np.array([worker.overhead_s for worker in fleet.workers.values()]),
            memory_bytes=np.array([costs.memory_bytes(name) for name in names]),
            wires=Wires.of(fleet),
            models={
                model: blocks_of(costs, model, most)
                for model in dict.fromkeys(demand.source.model for demand in asked)
            },
            streams=tuple(
                Stream(
                    name=demand.source.name,
                    home=number[demand.source.worker],
                    model=demand.source.model,
                    priority=demand.priority.name,
                    rank=demand.priority.rank,
                    weight=demand.priority.weight,
                    rate_hz=rates_hz.get(demand.source.name, costs.rate_hz(demand.source.name)),
                    deadline_s=demand.source.deadline_s,
                    lifespan_s=demand.source.lifespan_s,
                )
                for demand in asked
            ),
            classes=tuple(priority.name for priority in fleet.priority_classes),
            steps=weights - np.append(weights[1:], 0.0),
            accuracy_gain=fleet.accuracy_gain,
        )

    def recut(self, cuts: Mapping[str, Collection[int]]) -> PlacementProblem | None:
        """Return the same problem with models cut at further places; None where there are none.

        Where a model would have too many blocks, it is cut less where it was cut before, then at
        the thickest of the further places.

        :param cuts: units before which to cut, by model; of models not in use too.
        """
        models = dict(self.models)
        for name, blocks in self.models.items():
            more = {unit for unit in cuts.get(name, ()) if 0 < unit < blocks.cuts[-1]}
            if more - set(blocks.cuts):
                cut = blocks_at(self.costs, name, self._at_most(name, more))
                units = {exit_.unit for exit_ in blocks.exits}  # some may have been left out
                exits = tuple(exit_ for exit_ in cut.exits if exit_.unit in units)
                models[name] = replace(cut, exits=exits)
        same = all(models[name] is blocks for name, blocks in self.models.items())
        return None if same else replace(self, models=models)

    def _at_most(self, model: str, more: Collection[int]) -> tuple[int, ...]:
        """Return a model's cuts and further ones, as many as there may be."""
        blocks, table = self.models[model], self.costs.tables[model]
        exits = self.costs.fleet.models[model].exits  # left out of the problem or not
        kept = {0, blocks.cuts[-1], *(exit_.unit for exit_ in exits if exit_.unit < len(table))}
        for wanted in (more, blocks.cuts):
            for unit in sorted(wanted, key=lambda unit: (table.boundary_bytes(unit), unit)):
                if len(kept) <= MOST_BLOCKS:
                    kept.add(unit)
        return tuple(sorted(kept))

    def finer(self, most_blocks: int) -> PlacementProblem | None:
        """Return the problem with models in smaller blocks; None where they are small already.

        :param most_blocks: of a model, at most, besides those that it has.
        """
        return self.recut({name: cuts_of(self.costs, name, most_blocks) for name in self.models})

    @property
    def resources(self) -> int:
        """Workers and wires."""
        return len(self.workers) + self.wires.count

    def stay_s(self, model: str, first: int, last: int, worker: int) -> float:
        """Return the time of units [first, last) in one go at a worker, overhead included [s]."""
        before = self.models[model].flops_before
        flops = before[last] - before[first]
        return flops * self.s_per_flop[model][worker] + float(self.overhead_s[worker])

    def number(self, worker: str) -> int:
        """Return the number of a worker.

        :raises ValueError: the fleet has no such worker.
        """
        return self.workers.index(worker)


def blocks_for(workers: int) -> int:
    """Return how many blocks a model is planned in, at most, in a fleet of so many workers."""
    return 12 if workers <= 16 else 10
