# SPDX-License-Identifier: Apache-2.0
"""The comparison of simulated and real runs, on simulated ones (test/testbed has real ones)."""

from __future__ import annotations

from dataclasses import replace

from pamdi_ros.experiments import calibration
from pamdi_ros.experiments.cell import Cell
from pamdi_ros.experiments.cells import Measured
from pamdi_ros.experiments.size import Size, SLICE
import pytest


def delayed(found: Measured, factor: float) -> Measured:
    """Return runs whose urgent source took so many times as long; 0: it got no answer."""
    runs = []
    for run in found.runs:
        source = run.sources['urgent']
        assert source.delays is not None
        delays = replace(source.delays, mean_s=factor * source.delays.mean_s) if factor else None
        urgent = replace(source, delays=delays, results=source.results if factor else 0)
        runs.append(replace(run, sources={**run.sources, 'urgent': urgent}))
    return replace(found, runs=tuple(runs), real=True)


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let real cells be simulated ones, the urgent source slower by the one factor given here."""
    factors: list[float] = []
    run_cells, cell = calibration.run_cells, calibration._cell

    def simulated(one: object, load: float, policy: str, size: Size, *, real: bool) -> Cell:
        found: Cell = cell(one, load, policy, size, real=False)
        return replace(found, factors={**found.factors, 'real': real})

    def measured(cells: list[Cell], *args: object) -> list[Measured]:
        found = run_cells(cells, args[0], None, 1)
        return [
            replace(delayed(m, factors[0]) if m.factors['real'] else m,
                    factors={k: v for k, v in m.factors.items() if k != 'real'})
            for m in found
        ]  # fmt: skip

    monkeypatch.setattr(calibration, '_cell', simulated)
    monkeypatch.setattr(calibration, 'run_cells', measured)
    return factors


def test_equal_runs_have_no_error_and_slower_ones_that_of_their_factor(real: list[float]) -> None:
    real.append(1.25)
    report = calibration.run(replace(SLICE, seconds=6.0))
    errors = {pair['source']: pair['error_percent'] for pair in report.numbers['pairs']}
    assert errors['urgent'] == pytest.approx(25.0)
    assert [errors[name] for name in errors if name != 'urgent'] == pytest.approx(
        [0.0] * (len(errors) - 1)
    )
    assert 'worst 25.0 %' in report.findings[0]
    assert 'all on one host' in report.how
    (table,) = report.tables
    assert any('+25.0' in row for row in table.rows)


def test_a_source_without_an_answer_is_not_left_out(real: list[float]) -> None:
    real.append(0.0)
    report = calibration.run(replace(SLICE, seconds=6.0))
    assert 'had a run without an answer' in report.findings[0]
    (table,) = report.tables
    assert any('no answer' in row for row in table.rows)
