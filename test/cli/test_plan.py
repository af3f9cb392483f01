# SPDX-License-Identifier: Apache-2.0
"""``pamdi plan``: tables, JSON, the figure, and what it says to bad input and poor fleets."""

from __future__ import annotations

import json
from pathlib import Path
import subprocess
import sys
from typing import Any

from pamdi_ros.cli.main import main
from pamdi_ros.fleet import config_path
import pytest
import yaml

S1 = str(config_path('scenarios/s1.yaml'))
DEMO = str(config_path('demo.yaml'))
KEYS = {'objective', 'bound', 'gap', 'seconds', 'feasible', 'binding', 'workers', 'sources'}


@pytest.fixture(autouse=True)
def little_time_for_purchases(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones are planned and predicted all the same; the rest only take time here."""
    monkeypatch.setattr('pamdi_ros.cli.plan.PURCHASES_S', 2.0)


def planned(tmp_path: Path, fleet: str, *arguments: str) -> Any:
    """Plan a fleet and give the JSON."""
    target = tmp_path / 'plan.json'
    assert main(['plan', fleet, '--json', str(target), *arguments]) == 0
    return json.loads(target.read_text(encoding='utf-8'))


def changed(tmp_path: Path, **changes: Any) -> str:
    """Return S1's file with other values in it; a path is written with double underscores."""
    plain = yaml.safe_load(Path(S1).read_text(encoding='utf-8'))
    for path, value in changes.items():
        *above, last = path.split('__')
        place = plain
        for key in above:
            place = place[key]
        place[last] = value
    file = tmp_path / 'fleet.yaml'
    file.write_text(yaml.safe_dump(plain, sort_keys=False), encoding='utf-8')
    return str(file)


def test_the_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = planned(tmp_path, S1, '--load', '0.5')
    assert set(found) >= KEYS
    assert found['feasible'] is True
    assert found['objective'] <= found['bound'] + 1e-9
    assert set(found['workers']) == {'xavier1', 'xavier2', 'nano'}
    assert list(found['sources']) == ['camera', 'inspection', 'text']
    for worker in found['workers'].values():
        assert 0 < worker['memory_mb'] <= worker['memory_bound_mb'] == 4096
        assert 0 <= worker['utilisation'] < 1
        assert sum(worker['utilisation_by_class'].values()) == pytest.approx(worker['utilisation'])
        for parts in worker['units'].values():
            assert all(first < last for first, last in parts)
    for source in found['sources'].values():
        at = 0
        for stage in source['route']:
            assert stage['worker'] in found['workers']
            assert stage['first_unit'] == at < stage['last_unit']
            at = stage['last_unit']
        assert at == source['exit_unit']
        assert 0 < source['solo_ms'] <= source['loaded_ms'] * 1.001
    assert found['purchases'][0]['what']
    assert 0 < len(found['purchases']) == found['purchases_tried'] <= found['purchases_possible']
    output = capsys.readouterr().out
    for words in (
        'Workers of s1, planned',
        'Next best purchase',
        'purchases were tried',
        'inspection',
        'of 4096',
    ):
        assert words in output


def test_a_higher_load_takes_longer(tmp_path: Path) -> None:
    light, heavy = (planned(tmp_path, S1, '--load', load) for load in ('0.3', '0.8'))
    for name in ('inspection', 'text'):
        assert light['sources'][name]['loaded_ms'] < heavy['sources'][name]['loaded_ms']
        assert light['sources'][name]['solo_ms'] == heavy['sources'][name]['solo_ms']
    assert light['objective'] > heavy['objective']


def test_the_exact_plan_is_no_worse(tmp_path: Path) -> None:
    arguments = ('--load', '0.5', '--time-limit', '20')
    priced = planned(tmp_path, S1, *arguments)
    exact = planned(tmp_path, S1, *arguments, '--exact')
    assert exact['exact'] is True
    assert exact['objective'] >= priced['objective'] - 2e-3 * abs(priced['objective'])


def test_standard_output_carries_the_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['plan', S1, '--load', '0.3', '--json', '-']) == 0
    output = capsys.readouterr()
    assert set(json.loads(output.out)) >= KEYS
    assert 'Workers of s1' in output.err


def test_no_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = yaml.safe_load(Path(S1).read_text(encoding='utf-8'))
    nano = {**plain['workers']['nano'], 'memory_mb': 3}
    sources = {'camera': plain['sources']['camera']}  # one of each is enough, and is quick
    found = planned(tmp_path, changed(tmp_path, workers={'nano': nano}, sources=sources))
    assert found['feasible'] is False
    assert found['objective'] is None
    assert 'lacks' in found['reason']
    assert 'memory_mb of at least' in found['remedy']
    assert 'Remedy:' in capsys.readouterr().out


def test_an_overload(tmp_path: Path) -> None:
    found = planned(tmp_path, S1, '--load', '1.5')
    assert found['feasible'] is False
    assert 'overload' in found['reason']
    assert 'rate_hz' in found['remedy']
    assert found['sources']['camera']['loaded_ms'] is not None


def test_a_deadline_that_cannot_be_kept(tmp_path: Path) -> None:
    file = changed(tmp_path, sources__inspection__deadline_ms=5)
    found = planned(tmp_path, file, '--load', '0.3')
    assert found['feasible'] is False
    assert 'inspection needs' in found['reason']


def test_a_fleet_too_large_to_be_predicted_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = yaml.safe_load(Path(S1).read_text(encoding='utf-8'))
    workers = {f'more{number}': plain['workers']['xavier1'] for number in range(48)}
    camera = {**plain['sources']['camera'], 'rate_hz': 15}
    found = planned(
        tmp_path,
        changed(
            tmp_path, workers={**plain['workers'], **workers}, sources={'camera': camera},
            links={'default': plain['links']['default']},
        ),
    )  # fmt: skip
    assert found['sources']['camera']['loaded_ms'] is None
    assert found['sources']['camera']['solo_ms'] > 0
    assert 0 < sum(worker['utilisation'] for worker in found['workers'].values()) < 1
    assert all(purchase['urgent_ms'] is None for purchase in found['purchases'])
    assert 'left open' in capsys.readouterr().out


@pytest.mark.parametrize('suffix', ['png', 'svg'])
def test_the_figure(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / 'new' / f'plan.{suffix}'
    planned(tmp_path, S1, '--load', '0.3', '--plot', str(target))
    assert target.stat().st_size > 5000


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--load', '80'], 'such as 0.8'),
        (['--load', 'much'], 'no number above 0'),
        ([], 'sources.text.load_share: a share of which load?'),
        (['--load', '0.5', '--plot', 'plan.pdf'], 'end it in .png or .svg'),
        (['--load', '0.5', '--time-limit', '0'], 'no number above 0'),
    ],
)
def test_bad_input(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['plan', S1, *arguments]) == 2
    output = capsys.readouterr()
    assert words in output.err
    assert output.out == ''


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['plan', '/does/not/exist.yaml']) == 2
    assert main(['plan', DEMO, '--load', '0.5']) == 2
    assert 'no source has a load_share' in capsys.readouterr().err


def test_it_needs_neither_torch_nor_ros() -> None:
    code = (
        'import sys\n'
        'from pamdi_ros.cli.main import main\n'
        f'code = main(["plan", {S1!r}, "--load", "0.5"])\n'
        'bad = {"torch", "rclpy", "transformers", "pamdi_ros.msg"} & set(sys.modules)\n'
        'raise SystemExit(str(bad) if bad else code)'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
