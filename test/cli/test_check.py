# SPDX-License-Identifier: Apache-2.0
"""``pamdi check``: OK or all the problems, exit codes, JSON."""

from __future__ import annotations

import json
from pathlib import Path
import sys
import types

from pamdi_ros.cli.main import COMMANDS, main
from pamdi_ros.fleet import config_path
import pytest

DEMO = str(config_path('demo.yaml'))


@pytest.fixture
def bad_file(tmp_path: Path) -> str:
    path = tmp_path / 'bad.yaml'
    path.write_text(Path(DEMO).read_text().replace('resnet50,', 'resnet50, tokens: .nan,', 1))
    return str(path)


def test_a_right_file_is_ok(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['check', DEMO]) == 0
    output = capsys.readouterr()
    assert output.out.startswith('OK: fleet demo, 3 workers, 3 sources, 3 models')
    assert output.err == ''


def test_problems_go_to_standard_error(bad_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['check', bad_file]) == 2
    output = capsys.readouterr()
    assert output.out == ''
    assert 'models.resnet50.tokens' in output.err
    assert 'remedy' in output.err
    assert 'Traceback' not in output.err


def test_json_alone_on_standard_output(bad_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['check', DEMO, '--json', '-']) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert outcome['ok'] is True
    assert set(outcome['sources']) == {'camera', 'lidar', 'text'}
    assert main(['check', bad_file, '--json', '-']) == 2
    outcome = json.loads(capsys.readouterr().out)
    assert outcome['ok'] is False
    assert set(outcome['problems'][0]) == {'path', 'value', 'message', 'remedy', 'line'}


def test_json_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / 'outcome.json'
    assert main(['check', DEMO, '--json', str(target)]) == 0
    assert json.loads(target.read_text())['fleet'] == 'demo'
    assert 'OK' in capsys.readouterr().out
    assert main(['check', DEMO, '--json', str(tmp_path / 'no' / 'where.json')]) == 1
    assert 'where.json' in capsys.readouterr().err


def test_a_missing_file_and_bad_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['check', '/does/not/exist.yaml']) == 2
    assert 'cannot be read' in capsys.readouterr().err
    assert main(['check']) == 2
    assert main([]) == 2
    assert main(['fly']) == 2


@pytest.mark.parametrize('command', COMMANDS)
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, '--help']) == 0
    assert f'example: pamdi {command}' in capsys.readouterr().out


class _Table:
    """A model of one unit."""

    def __init__(self, weights_mb: float) -> None:
        self.weights = int(weights_mb * 1e6)

    def __len__(self) -> int:
        return 1

    def weight_bytes(self, first: int, last: int) -> int:
        return self.weights

    def activation_bytes(self, first: int, last: int) -> int:
        return 0

    def flops(self, first: int, last: int) -> int:
        return 10**9


def _catalog(monkeypatch: pytest.MonkeyPatch, weights_mb: float) -> None:
    """Put a catalog in place that knows every model but GPT-2."""

    def unit_table(spec: dict[str, object]) -> _Table:
        if spec['zoo'] == 'gpt2' and weights_mb > 100:
            raise ValueError('gpt2 cannot be built today')
        return _Table(weights_mb)

    catalog = types.ModuleType('pamdi_ros.models.build.catalog')
    catalog.unit_table = unit_table  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'pamdi_ros.models.build.catalog', catalog)


def test_models_are_built_on_demand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _catalog(monkeypatch, weights_mb=50)
    assert main(['check', DEMO, '--models']) == 0
    assert 'model gpt2: 1 units, 50.0 MB, 1.00 GFLOP' in capsys.readouterr().out


def test_models_that_cannot_be_built_or_held_are_problems(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _catalog(monkeypatch, weights_mb=200)
    assert main(['check', DEMO, '--models']) == 2
    text = capsys.readouterr().err
    assert 'gpt2 cannot be built today' in text
    assert 'models.resnet50' in text
    assert 'workers: all workers together have 300.0 MB' in text
