# SPDX-License-Identifier: Apache-2.0
"""A plan as the solvers give it: placement, flows, what is busy, what binds, how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pamdi_ros.allocation.demand import Draft
from pamdi_ros.allocation.memory import HeldMemory
from pamdi_ros.allocation.problem import PlacementProblem
from pamdi_ros.assignment import Partition, PipelineStage

Placement = Mapping[str, tuple[Partition, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """A part of a source's items and how they go.

    :param share: of the source's items, in (0, 1].
    :param route: stages over units [0, exit_unit).
    :param exit_unit: units that have run when the item is answered.
    :param accuracy: of that exit.
    :param threshold: confidence from which the exit may answer; None: always.
    :param latency_s: of an item alone on the fleet [s].
    """

    share: float
    route: tuple[PipelineStage, ...]
    exit_unit: int
    accuracy: float = 0.0
    threshold: float | None = None
    latency_s: float = 0.0


Flows = Mapping[str, tuple[Flow, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """What one more of everything would cost, in weighted seconds.

    :param workers: π of a second of a worker, by worker and class.
    :param links: μ of a second of a link, by its ends and class.
    :param memory: ν of a byte of a worker's memory; 0 where it does not bind.
    """

    workers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    links: Mapping[tuple[str, str], Mapping[str, float]] = field(default_factory=dict)
    memory: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Remedy:
    """The smallest change that would help a problem without a solution.

    :param text: to a person.
    :param worker: that lacks memory; empty: memory is not the matter.
    :param lacking_bytes: memory that it lacks [byte].
    :param source: that is too slow or asks too much; empty: none.
    """

    text: str
    worker: str = ''
    lacking_bytes: int = 0
    source: str = ''


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """What a solver found.

    :param placement: partitions that each worker holds.
    :param flows: by source, the largest first; shares add up to 1, or to less where a part of the
        items cannot be served; empty: no route.
    :param worker_use: utilisation by worker and class, σ_{n,≤c}: classes at least as urgent.
    :param link_use: utilisation by (from, to) and class, of the wire that is busier of the two
        interfaces that the link joins, or of the shared medium.
    :param prices: of workers, links and memory.
    :param objective: of :mod:`pamdi_ros.allocation.objective`; −inf where not feasible.
    :param bound: that no plan's objective exceeds.
    :param gap: (bound − objective) / max(|bound|, |objective|).
    :param seconds: that the solver took [s].
    :param feasible: memory, capacity and deadlines can be kept.
    :param binding: what a person would have to change for a better plan.
    :param reason: why it is not feasible.
    :param remedy: what would help then.
    :param unserved: why a source has no route, by source.
    """

    placement: Placement
    flows: Flows
    worker_use: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    link_use: Mapping[tuple[str, str], Mapping[str, float]] = field(default_factory=dict)
    prices: Prices = field(default_factory=Prices)
    objective: float = float('-inf')
    bound: float = float('inf')
    gap: float = float('inf')
    seconds: float = 0.0
    feasible: bool = False
    binding: tuple[str, ...] = ()
    reason: str = ''
    remedy: Remedy | None = None
    unserved: Mapping[str, str] = field(default_factory=dict)

    def nominal(self, source: str) -> Flow | None:
        """Return the largest flow of a source; None: it has none."""
        flows = self.flows.get(source, ())
        return flows[0] if flows else None

    def draft(self, problem: PlacementProblem) -> Draft:
        """Return placement and nominal routes as a plan in the making."""
        draft = Draft(HeldMemory(problem.costs))
        for worker, parts in self.placement.items():
            for part in parts:
                draft.holdings.hold(worker, part.model, part.first, part.last)
        for stream in problem.streams:
            flow = self.nominal(stream.name)
            draft.routes[stream.name] = () if flow is None else flow.route
            if flow is None:
                draft.reasons[stream.name] = self.unserved.get(stream.name, self.reason)
        return draft
