# SPDX-License-Identifier: Apache-2.0
"""Whether all models fit at all, and the least memory that would have to be added if not.

A covering program: every block that some source cannot do without is held somewhere, at the least
memory beyond the bounds. Where that is none, its answer is a placement to start from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pamdi_ros.allocation.optimizer.program import Rows
from pamdi_ros.allocation.problem import PlacementProblem

#: Added memory below this is rounding [byte].
ROUNDING_BYTES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Packing:
    """What was found.

    :param masks: blocks by (model, worker) as bit masks.
    :param lacking: memory to add by worker [byte]; empty: all fits.
    """

    masks: Mapping[tuple[str, int], int]
    lacking: Mapping[int, int]


def pack(problem: PlacementProblem, *, time_limit_s: float = 2.0) -> Packing | None:
    """Pack every model's first exit into the workers; None where no answer came in time."""
    rows = Rows()
    held: dict[tuple[str, int, int], int] = {}
    added: list[int] = []
    for worker, bound in enumerate(problem.memory_bytes):
        added.append(rows.variable(1.0, np.inf))
        spread = rows.variable(0.01, 1.0, integer=True)  # rather one worker than many
        limit = float(min(bound, 1e15)) / 1e6
        rows.row([(added[-1], 1.0), (spread, -1e6)], -np.inf, 0.0)
        _hold(problem, rows, held, worker, limit, added[-1])
    for model, blocks in problem.models.items():
        for block in range(blocks.exits[0].block):
            terms = [(held[model, block, worker], 1.0) for worker in range(len(problem.workers))]
            rows.row(terms, 1.0, np.inf)
    result = rows.solve(time_limit_s, 1e-3)
    if result.x is None:
        return None
    masks: dict[tuple[str, int], int] = {}
    for (model, block, worker), number in held.items():
        if result.x[number] > 0.5:
            masks[model, worker] = masks.get((model, worker), 0) | 1 << block
    lacking = {worker: round(result.x[number] * 1e6) for worker, number in enumerate(added)}
    return Packing(
        masks=masks,
        lacking={worker: size for worker, size in lacking.items() if size > ROUNDING_BYTES},
    )


def _hold(
    problem: PlacementProblem,
    rows: Rows,
    held: dict[tuple[str, int, int], int],
    worker: int,
    limit: float,
    added: int,
) -> None:
    """Write what a worker may hold, in MB."""
    most = rows.variable(upper=np.inf)
    terms: list[tuple[int, float]] = [(most, 1.0), (added, -1.0)]
    for model, blocks in problem.models.items():
        for block in range(blocks.exits[0].block):
            number = held[model, block, worker] = rows.variable(integer=True)
            size = blocks.activation_bytes[block] / 1e6
            rows.row([(most, 1.0), (number, -size)], 0.0, np.inf)
        for readers, size in blocks.tensors:
            read = [b for b in range(blocks.exits[0].block) if readers >> b & 1]
            if len(read) == 1:
                terms.append((held[model, read[0], worker], size / 1e6))
            elif read:
                loaded = rows.variable()
                for block in read:
                    rows.row([(loaded, 1.0), (held[model, block, worker], -1.0)], 0.0, 1.0)
                terms.append((loaded, size / 1e6))
    rows.row(terms, -np.inf, limit)
