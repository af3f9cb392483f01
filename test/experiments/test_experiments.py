# SPDX-License-Identifier: Apache-2.0
"""A slice of each experiment: what it writes, and what holds whatever chance does.

The slices are too short for their numbers to mean anything; nothing here asks who is faster.
"""

from __future__ import annotations

from functools import cache
import json
from pathlib import Path
from typing import Any

from pamdi_ros.experiments.catalog import experiment, EXPERIMENTS
from pamdi_ros.experiments.report import ExperimentReport
from pamdi_ros.experiments.size import SLICE
from pamdi_ros.experiments.writing import Origin, write
from pamdi_ros.fleet import load_fleet
import pytest

ORIGIN = Origin(command='pamdi experiment', started='2026-01-01T00:00:00+00:00', wall_s=1.0)


@cache
def sliced(name: str) -> ExperimentReport:
    """Run a slice of an experiment once, in this process."""
    shares: list[float] = []
    found = experiment(name).run(SLICE, shares.append, processes=1)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    return found


@pytest.fixture(scope='module', params=[name for name in EXPERIMENTS if name != 'calibration'])
def report(request: pytest.FixtureRequest) -> ExperimentReport:
    """Return the slice of each experiment."""
    return sliced(request.param)


def sources(value: Any) -> list[dict[str, Any]]:
    """Find the numbers of every source of every run, however deep they are."""
    if isinstance(value, dict):
        found = list(value['sources'].values()) if 'sources' in value else []
        return found + [one for item in value.values() for one in sources(item)]
    return [one for item in value for one in sources(item)] if isinstance(value, list) else []


def test_it_writes_numbers_summary_figures_and_fleets(
    report: ExperimentReport, tmp_path: Path
) -> None:
    paths = {path.relative_to(tmp_path) for path in write(report, SLICE, ORIGIN, tmp_path)}
    drawn = {Path(f'{one.name}.{end}') for one in report.figures for end in ('png', 'svg')}
    fleets = {Path('fleets') / f'{one.name}.yaml' for one in report.rigs}
    assert paths == drawn | fleets | {Path(f'{report.name}.json'), Path(f'{report.name}.md')}
    assert drawn
    assert all((tmp_path / path).stat().st_size > 5000 for path in drawn)
    for path in fleets:
        load_fleet(tmp_path / path)
    found = json.loads((tmp_path / f'{report.name}.json').read_text(encoding='utf-8'))
    assert found['experiment'] == report.name
    assert found['seeds'] == list(SLICE.seeds)
    assert found['size'] == 'slice'
    assert {'versions', 'machine', 'command', 'wall_s', 'started'} <= set(found['origin'])
    assert {'pamdi_ros', 'python', 'numpy'} <= set(found['origin']['versions'])
    assert set(found['fleets']) == {one.name for one in report.rigs}
    text = (tmp_path / f'{report.name}.md').read_text(encoding='utf-8')
    assert text.startswith(f'# {report.title}')
    for table in report.tables:
        assert f'### {table.title}' in text


def test_every_item_ends_once(report: ExperimentReport) -> None:
    counted = sources(json.loads(json.dumps(report.runs)))
    assert counted
    for one in counted:
        assert one['accepted'] == one['results'] + sum(one['dropped'].values())


def test_tables_are_whole(report: ExperimentReport) -> None:
    assert report.tables
    for table in report.tables:
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_dynamics_lose_nothing_and_break_no_promise() -> None:
    found = sliced('dynamics')
    for one in found.numbers['cases']:
        assert one['never_ended'] == one['violations'] == 0
        assert one['accepted'] == one['results'] + sum(one['failed'].values())


def test_what_is_no_experiment() -> None:
    with pytest.raises(KeyError):
        experiment('report')
