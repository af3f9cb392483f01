# SPDX-License-Identifier: Apache-2.0
"""What cells say: reductions only where there are means to compare."""

from __future__ import annotations

from pamdi_ros.experiments.cell import CellResult
from pamdi_ros.experiments.cells import choose, reduction
from pamdi_ros.simulation.measures import Delays, RunMeasures, SourceMeasures
import pytest


def source_of(mean_s: float | None, *, stable: bool = True) -> SourceMeasures:
    delays = None
    if mean_s is not None:
        delays = Delays(mean_s=mean_s, p50_s=mean_s, p95_s=mean_s, p99_s=mean_s, max_s=mean_s)
    return SourceMeasures(
        priority='critical', weight=16, rate_hz=1, delays=delays, solo_s=0.01, pooled_s=0.01,
        accepted=10, results=10, dropped={}, stable=stable,
    )  # fmt: skip


def cell_of(
    *means_s: float | None, stable: bool = True, others: bool = True, policy: str = 'local'
) -> CellResult[RunMeasures]:
    runs = tuple(
        RunMeasures(
            sources={
                'urgent': source_of(mean_s, stable=stable),
                'other': source_of(0.1, stable=others),
            },
            utilisation={}, bytes_out={}, frames_out={}, messages_out={}, seconds=1, events=1,
            wall_s=1,
        )
        for mean_s in means_s
    )  # fmt: skip
    seeds = tuple(range(len(runs)))
    return CellResult(factors={'policy': policy}, seeds=seeds, runs=runs)


def test_a_reduction_is_taken_seed_by_seed() -> None:
    found = reduction(cell_of(0.02, 0.03), cell_of(0.1, 0.1), 'urgent')
    assert found is not None
    assert found.mean == pytest.approx(75.0)  # 80 % and 70 %
    assert found.count == 2


def test_without_a_mean_there_is_no_reduction() -> None:
    ours = cell_of(0.02, 0.02)
    assert reduction(ours, cell_of(0.1, 0.1, stable=False), 'urgent') is None
    assert reduction(cell_of(0.02, 0.02, stable=False), cell_of(0.1, 0.1), 'urgent') is None
    assert reduction(ours, cell_of(0.1, None), 'urgent') is None


def test_a_diverging_fleet_may_only_count_against_us() -> None:
    ours = cell_of(0.02, 0.02)
    assert reduction(ours, cell_of(0.1, 0.1, others=False), 'urgent') is None
    worse = reduction(ours, cell_of(0.01, 0.01, others=False), 'urgent')
    assert worse is not None
    assert worse.mean == pytest.approx(-100.0)


def test_a_cell_is_chosen_by_its_factors() -> None:
    cells = [cell_of(0.1, policy='local'), cell_of(0.1, policy='ms_mdi')]
    assert choose(cells, policy='ms_mdi') is cells[1]
    with pytest.raises(KeyError):
        choose(cells, policy='ar_mdi')
    with pytest.raises(KeyError):
        choose(cells)
