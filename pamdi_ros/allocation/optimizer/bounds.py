# SPDX-License-Identifier: Apache-2.0
"""A bound that no plan beats: the best flows were memory no matter.

Every worker may run every block that it could hold alone. What remains is convex, so its optimum
is found, and its duality gap says how far at most the flows found are from it. Congestion at the
pooled workers and wires is in the bound; what memory forces is not.
"""

from __future__ import annotations

from dataclasses import dataclass

from pamdi_ros.allocation.optimizer.block_placement import everything
from pamdi_ros.allocation.optimizer.flows import improve
from pamdi_ros.allocation.optimizer.paths import Paths
from pamdi_ros.allocation.optimizer.shares import Shares

#: Gap of the relaxed flows at which they are good enough, as a part of their cost: in small
#: fleets, and in those of more than :data:`MANY` workers.
TOLERANCE, ROUGH = 1e-4, 1e-3
MANY = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Relaxation:
    """The problem without bounds on memory.

    :param shares: its flows.
    :param bound: no plan's objective is above.
    :param missing: sources that have no path even so.
    """

    shares: Shares
    bound: float
    missing: tuple[int, ...]


def relax(paths: Paths, *, tolerance: float = TOLERANCE, rounds: int = 30) -> Relaxation:
    """Solve the problem without bounds on memory.

    :param tolerance: of the gap, as a part of the cost; large fleets get :data:`ROUGH` at best.
    """
    tolerance = tolerance if len(paths.problem.workers) <= MANY else max(tolerance, ROUGH)
    return _relax(paths, Shares(paths.problem), tolerance, rounds)


def refine(paths: Paths, relaxed: Relaxation) -> Relaxation:
    """Go on from a rough relaxation, whose shares change, to the usual tolerance."""
    if len(paths.problem.workers) > MANY:
        return relaxed
    return _relax(paths, relaxed.shares, TOLERANCE, 30)


def _relax(paths: Paths, shares: Shares, tolerance: float, rounds: int) -> Relaxation:
    held = everything(paths.problem, paths.run_s.shape[1])
    outcome = improve(paths, shares, held, rounds=rounds, tolerance=tolerance)
    return Relaxation(shares=shares, bound=outcome.gap - shares.cost, missing=outcome.missing)


def solo_s(paths: Paths) -> list[float | None]:
    """Return each source's least latency alone on the fleet, at its earliest exit [s].

    Memory counts in so far as a worker must be able to hold each block that it runs; None where
    there is no way at all. No plan gives an item a lower latency.
    """
    held = everything(paths.problem, paths.run_s.shape[1])
    return [
        None if path is None else path.price / weight
        for path, weight in zip(
            paths.cheapest_of_all(paths.free, held, accuracy_gain=0.0),
            paths.weights.tolist(),
            strict=True,
        )
    ]
