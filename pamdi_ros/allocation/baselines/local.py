# SPDX-License-Identifier: Apache-2.0
"""No sharing at all: every home holds the whole models of its own sources."""

from __future__ import annotations

from collections.abc import Sequence

from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.demand import Demand, Draft
from pamdi_ros.allocation.memory import HeldMemory
from pamdi_ros.assignment import PipelineStage


def local(costs: Costs, demands: Sequence[Demand]) -> Draft:
    """Plan every source at its home.

    :param demands: the most urgent first, who get the memory first; their models have tables.
    """
    draft = Draft(HeldMemory(costs))
    for demand in demands:
        source, home = demand.source, demand.source.worker
        count = len(costs.tables[source.model])
        fits = draft.holdings.has_room(home, source.model, 0, count)
        lacking = draft.holdings.extra_bytes(home, source.model, 0, count) / 1e6
        free = draft.holdings.free_bytes(home) / 1e6
        draft.settle(
            source,
            (PipelineStage(home, 0, count),) if fits else (),
            f'policy local: model {source.model} needs {lacking:.0f} MB more at {home}, where '
            f'{free:.0f} MB are free; raise its memory_mb or choose another policy',
        )
    return draft
