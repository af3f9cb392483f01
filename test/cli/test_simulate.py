# SPDX-License-Identifier: Apache-2.0
"""``pamdi simulate``: tables, JSON, figures, and what it says to bad input."""

from __future__ import annotations

import json
from pathlib import Path
import subprocess
import sys
from typing import Any

from pamdi_ros.cli.main import main
from pamdi_ros.fleet import config_path
from pamdi_ros.fleet.policy import POLICIES
import pytest

S1 = str(config_path('scenarios/s1.yaml'))
DEMO = str(config_path('demo.yaml'))


def simulated(tmp_path: Path, *arguments: str) -> Any:
    """Run the command on S1 for two seconds and give its JSON."""
    target = tmp_path / 'run.json'
    assert main(['simulate', S1, '--seconds', '2', '--json', str(target), *arguments]) == 0
    return json.loads(target.read_text(encoding='utf-8'))


def test_one_load_and_two_policies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('COLUMNS', '120')
    found = simulated(tmp_path, '--load', '0.5', '--policy', 'ms_mdi', 'pa_mdi_plus')
    assert list(found) == ['policies']
    assert list(found['policies']) == ['ms_mdi', 'pa_mdi_plus']
    for policy in found['policies'].values():
        assert set(policy['sources']) == {'camera', 'inspection', 'text'}
        assert {'mean_ms', 'p50_ms', 'p95_ms', 'p99_ms', 'max_ms', 'solo_ms'} <= set(
            policy['sources']['camera']
        )
        assert set(policy['workers']) == {'xavier1', 'xavier2', 'nano'}
        assert {'objective', 'bound', 'stable', 'events', 'wall_s'} <= set(policy)
        for source in policy['sources'].values():
            assert source['accepted'] == source['results'] + sum(source['dropped'].values())
        assert policy['sources']['camera']['accepted'] in (30, 31)  # 15 Hz, periodic
    text = capsys.readouterr().out
    for word in (
        'simulated at load 0.5',
        'camera, critical',
        'background: × solo',
        'Longest unit',
    ):
        assert word in ' '.join(text.split())


def test_equal_seeds_give_equal_numbers_in_any_process(tmp_path: Path) -> None:
    both = simulated(tmp_path, '--load', '0.8', '--seed', '1', '2')['policies']['pa_mdi_plus']
    assert both['seeds'] == 2
    again = simulated(tmp_path, '--load', '0.8', '--seed', '2', '1')['policies']['pa_mdi_plus']
    for found in (both, again):
        del found['wall_s'], found['cpu_s']
    assert both == again
    assert both['sources']['text']['spread']['mean_ms'] is not None


def test_several_loads(tmp_path: Path) -> None:
    found = simulated(tmp_path, '--load', '0.5', '0.8', '--policy', 'local')
    assert list(found) == ['loads']
    assert list(found['loads']) == ['0.5', '0.8']
    rates = [
        load['policies']['local']['sources']['text']['accepted']
        for load in found['loads'].values()
    ]
    assert rates[0] < rates[1]


def test_the_fleets_own_rates_and_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path(DEMO).read_text(encoding='utf-8')
    assert text.count('policy: pa_mdi_plus') == 1
    file = tmp_path / 'fleet.yaml'
    file.write_text(text.replace('policy: pa_mdi_plus', 'policy: static_chain'), encoding='utf-8')
    arguments = ['simulate', str(file), '--seconds', '2', '--json', '-']
    assert main(arguments) == 0
    output = capsys.readouterr()
    found = json.loads(output.out)
    assert list(found['policies']) == ['static_chain']  # the file's
    assert 'Sources of demo, simulated' in output.err


def test_all_policies(tmp_path: Path) -> None:
    found = simulated(tmp_path, '--load', '0.5', '--policy', 'all', '--seconds', '1')
    assert list(found['policies']) == list(POLICIES)


def test_figures(tmp_path: Path) -> None:
    simulated(
        tmp_path, '--load', '0.5', '0.8', '--policy', 'local', 'pa_mdi_plus', '--plot',
        str(tmp_path / 'new' / 'figures'),
    )  # fmt: skip
    names = {path.name for path in (tmp_path / 'new' / 'figures').iterdir()}
    stems = {
        'delay_load_0.5', 'delay_load_0.8', 'utilisation_load_0.5', 'utilisation_load_0.8',
        'delay_over_load', 'reduction',
    }  # fmt: skip
    assert names == {f'{stem}.{suffix}' for stem in stems for suffix in ('png', 'svg')}
    assert all(path.stat().st_size > 5000 for path in (tmp_path / 'new' / 'figures').iterdir())


def test_parameters_can_be_set(tmp_path: Path) -> None:
    plain = simulated(tmp_path, '--load', '0.95')['policies']['pa_mdi_plus']
    settings = ('preemption=false', 'quantum_s=0.05', 'rtc=false')
    other = simulated(tmp_path, '--load', '0.95', '--set', *settings)['policies']['pa_mdi_plus']
    assert plain['sources'] != other['sources']


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--load', '80'], 'such as 0.8'),
        (['--load', '-1'], 'no number above 0'),
        (['--load', 'much'], 'no number above 0'),
        (['--seconds', '0'], 'no number above 0'),
        (['--policy', 'best'], 'pa_mdi_plus'),
        ([], 'sources.text.load_share: a share of which load?'),
        (['--load', '0.001'], 'leaves nothing to share out: camera with rate_hz'),
        (['--load', '0.8', '--set', 'preemptoin=false'], 'preemptoin: no such parameter'),
        (['--load', '0.8', '--set', 'preemption=7'], 'preemption: 7 is no bool'),
        (['--load', '0.8', '--set', 'preemption'], 'remedy: write NAME=VALUE'),
    ],
)
def test_bad_input(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['simulate', S1, *arguments]) == 2
    output = capsys.readouterr()
    assert words in output.err
    assert output.out == ''


def test_a_load_needs_shares(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['simulate', DEMO, '--load', '0.5']) == 2
    assert 'no source has a load_share' in capsys.readouterr().err
    assert main(['simulate', '/does/not/exist.yaml']) == 2


def test_a_model_that_cannot_be_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / 'fleet.yaml'
    text = Path(S1).read_text(encoding='utf-8').replace('zoo: resnet56', 'zoo: resnet5656')
    path.write_text(text, encoding='utf-8')
    assert main(['simulate', str(path), '--load', '0.5']) == 2
    assert 'resnet5656' in capsys.readouterr().err


def test_it_needs_neither_torch_nor_ros() -> None:
    code = (
        'import sys\n'
        'from pamdi_ros.cli.main import main\n'
        f'code = main(["simulate", {S1!r}, "--load", "0.5", "--seconds", "0.5"])\n'
        'bad = {"torch", "rclpy", "transformers", "pamdi_ros.msg"} & set(sys.modules)\n'
        'raise SystemExit(str(bad) if bad else code)'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
