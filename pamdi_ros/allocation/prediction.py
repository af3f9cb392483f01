# SPDX-License-Identifier: Apache-2.0
"""What a plan will be like under load: latencies of every source, and what will be busy.

Latencies under load are those of short runs of the simulator, which drives this room: whoever
asks for them hands its :data:`Predict` down (:func:`pamdi_ros.simulation.predict.predict`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.solution import Solution
from pamdi_ros.assignment import Plan

#: Utilisation by class, the most urgent first.
Use = tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SourcePrediction:
    """What becomes of one source's items.

    :param loaded_s: mean, arrival to answer [s]; infinite where a queue on its way would grow;
        None: not predicted.
    :param error_s: standard error of that mean, which is a sample's [s]; 0: none is known.
    :param shares: part of its items that each worker runs a stay of, by worker; they sum to more
        than 1 where the model is cut.
    """

    loaded_s: float | None
    shares: Mapping[str, float]
    error_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """A fleet under load.

    :param sources: by name; those without a way through the fleet may be left out.
    :param workers: utilisation of each worker.
    :param links: of each link by what is sent over it, by (from, to).
    :param simulated_s: how long the fleet was simulated for it [s]; 0: not at all, it is what the
        planner's own flows come to.
    """

    sources: Mapping[str, SourcePrediction]
    workers: Mapping[str, Use]
    links: Mapping[tuple[str, str], Use]
    simulated_s: float = 0.0


#: Predicts a plan under the run-time policy that the plan names; None: that would take too long.
Predict = Callable[[Costs, Plan], Prediction | None]


def flows_of(costs: Costs, solution: Solution) -> Prediction:
    """Return what a solution's flows come to; latencies under load are left open."""
    sources = {}
    for name, flows in solution.flows.items():
        shares: dict[str, float] = {}
        for flow in flows:
            for worker in {stage.worker for stage in flow.route}:
                shares[worker] = shares.get(worker, 0.0) + flow.share
        sources[name] = SourcePrediction(loaded_s=None, shares=shares)
    idle = (0.0,) * len(costs.fleet.priority_classes)
    return Prediction(
        sources=sources,
        workers={
            name: _by_class(solution.worker_use[name]) if name in solution.worker_use else idle
            for name in costs.fleet.workers
        },
        links={ends: _by_class(use) for ends, use in solution.link_use.items()},
    )


def _by_class(upto: Mapping[str, float]) -> Use:
    """Return what each class adds to a use that is given for classes at least as urgent."""
    return tuple(max(0.0, use - before) for before, use in pairwise((0.0, *upto.values())))
