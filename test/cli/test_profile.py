# SPDX-License-Identifier: Apache-2.0
"""``pamdi profile``: tables, files, JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
import subprocess
import sys

from pamdi_ros.cli.main import main
from pamdi_ros.fleet import config_path
import pytest

DEMO = str(config_path('demo.yaml'))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache of the test's own."""
    monkeypatch.setenv('PAMDI_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


def test_costs_of_the_shipped_models_need_no_build(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ['profile', 'resnet50', 'gpt2@32', '--ms-per-gflop', '4', '20', '--repeat', '0']
    assert main([*command, '--json', '-']) == 0
    output = capsys.readouterr()
    outcome = json.loads(output.out)

    assert outcome['device'] is None
    assert set(outcome['models']) == {'resnet50', 'gpt2@32'}
    facts = outcome['models']['resnet50']
    assert facts['gflop'] == pytest.approx(8.178, abs=0.001)
    assert facts['gflop'] == pytest.approx(sum(unit['gflop'] for unit in facts['units']))
    assert facts['largest_quantum']['20 ms/GFLOP']['ms'] <= 8
    assert set(facts['units'][0]) == {'name', 'gflop', 'weights_mb', 'boundary_kb'}
    assert 'Longest units' in output.err
    assert not cache.exists()


def test_a_fleet_stands_for_its_models_and_workers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = tmp_path / 'slow.yaml'
    text = Path(DEMO).read_text()
    fleet.write_text(text.replace('robot2: {', 'robot2: {ms_per_gflop: 40, '))
    assert main(['profile', str(fleet), '--repeat', '0', '--json', '-']) == 0
    models = json.loads(capsys.readouterr().out)['models']

    assert set(models) == {'demo/resnet50', 'demo/resnet56', 'demo/gpt2'}
    assert set(models['demo/gpt2']['largest_quantum']) == {'robot2'}
    assert main(['profile', DEMO, '--repeat', '0', '--json', '-']) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)['models']['demo/gpt2']['largest_quantum'] == {}
    assert 'Longest units' not in output.err


def test_measures_and_writes_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / 'out'
    command = ['profile', 'resnet56@3x8x8', '--repeat', '2', '--threads', '1', '--out', str(out)]
    assert main([*command, '--json', str(tmp_path / 'all.json')]) == 0
    told = ' '.join(capsys.readouterr().out.split())  # a line is broken where the screen ends
    assert 'median ms' in told
    assert 'a pass by unit' in told and 'in one session' in told
    outcome = json.loads((tmp_path / 'all.json').read_text())
    facts = outcome['models']['resnet56@3x8x8']

    recorded = outcome['device']
    assert recorded['threads'] == 1
    assert recorded['engine'] == 'onnxruntime'
    assert recorded['passes'] == 2
    assert recorded['warm_up'] > 0
    assert recorded['name']
    assert all(unit['iqr_ms'] >= 0 for unit in facts['units'])
    assert all(unit['median_ms'] > 0 for unit in facts['units'])
    assert Path(facts['profile']) == out / 'resnet56-3x8x8.json'
    assert 'median_ms' not in Path(facts['profile']).read_text()
    measured = json.loads((out / 'measured' / 'resnet56-3x8x8.onnxruntime.cpu.json').read_text())
    assert measured['device'] == outcome['device']
    assert measured['units'] == facts['units']


def test_one_file_has_it_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / 'all.json'
    assert main(['profile', 'resnet50', '--repeat', '0', '--out', str(out), '--json', '-']) == 0
    assert json.loads(out.read_text()) == json.loads(capsys.readouterr().out)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ('arguments', 'word'),
    [
        (['resnet5'], 'resnet5'),
        (['resnet50@3xbigx3'], 'input_shape'),
        (['gpt2@few'], 'tokens'),
        (['resnet50@32'], 'tokens'),
        (['nowhere.yaml'], 'nowhere.yaml'),
        (['resnet50', '--device', 'toaster'], 'device'),
        (['resnet50', '--repeat', '-1'], 'negative'),
        (['resnet50', '--repeat', 'x'], 'repeat'),
        (['resnet50', '--threads', '0'], 'threads'),
        (['resnet50', '--ms-per-gflop', '0'], 'speed'),
    ],
)
def test_bad_input(arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['profile', *arguments]) == 2
    output = capsys.readouterr()
    assert word in output.err
    assert output.out == ''
    assert 'Traceback' not in output.err


def test_costs_need_no_torch() -> None:
    code = (
        'import sys; from pamdi_ros.cli.main import main; '
        "main(['profile', 'vit_b_16', '--repeat', '0']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == 'False'
