# SPDX-License-Identifier: Apache-2.0
"""All placements and unsplit routes of a tiny problem, one by one; the best split over each."""

from __future__ import annotations

from itertools import product

import numpy as np
from pamdi_ros.allocation import PlacementProblem
from pamdi_ros.allocation.columns import Column, column
from pamdi_ros.allocation.optimizer.block_placement import Space
from scipy.optimize import minimize


def routes(problem: PlacementProblem, source: int) -> list[Column]:
    """Return every route of a source: any worker for any block, any exit."""
    blocks = problem.models[problem.streams[source].model]
    found = []
    for exit_ in blocks.exits:
        for workers in product(range(len(problem.workers)), repeat=exit_.block):
            stages: list[tuple[int, int, int]] = []
            for block, worker in enumerate(workers):
                if stages and stages[-1][0] == worker:
                    stages[-1] = (worker, stages[-1][1], block + 1)
                else:
                    stages.append((worker, block, block + 1))
            found.append(column(problem, source, stages))
    return found


def best_unsplit(problem: PlacementProblem) -> float:
    """Return the best objective with one route for each source; −inf: none is feasible."""
    best = -np.inf
    for chosen in product(*(routes(problem, m) for m in range(len(problem.streams)))):
        if Space(problem).take(chosen):
            best = max(best, value_of(problem, [list(chosen)], np.ones(len(chosen))))
    return best


def best_split(problem: PlacementProblem) -> float:
    """Return one source's best objective, its items split over any two routes that fit."""
    (every,) = (routes(problem, source) for source in range(len(problem.streams)))
    best = -np.inf
    for first in every:
        for second in every:
            if not Space(problem).take([first, second]):
                continue
            found = minimize(
                lambda x, pair=(first, second): -min(
                    1e9, max(-1e9, value_of(problem, [list(pair)], np.array([x[0], 1 - x[0]])))
                ),
                [0.5], bounds=[(0.0, 1.0)], method='Nelder-Mead', options={'xatol': 1e-5},
            )  # fmt: skip
            best = max(best, -float(found.fun))
    return best


def value_of(problem: PlacementProblem, groups: list[list[Column]], shares: np.ndarray) -> float:
    """Return the objective of shares on columns, from the formula."""
    loads = np.zeros((problem.resources, len(problem.classes)))
    worth = 0.0
    for found, share in zip([c for group in groups for c in group], shares, strict=True):
        stream = problem.streams[found.source]
        worth += stream.rate_hz * share * found.worth
        for resource, busy_s in found.uses:
            loads[resource, stream.rank :] += stream.rate_hz * share * busy_s
    if (loads >= 1).any():
        return -np.inf
    return float(worth - ((loads**2 / (1 - loads)) @ problem.steps).sum())
