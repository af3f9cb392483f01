# SPDX-License-Identifier: Apache-2.0
"""``pamdi experiment``: what it writes where, and what it says to bad input."""

from __future__ import annotations

import json
from pathlib import Path

from pamdi_ros.cli.main import main
from pamdi_ros.experiments import size
from pamdi_ros.experiments.catalog import EXPERIMENTS
import pytest


def test_one_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(size, 'QUICK', size.SLICE)
    out = tmp_path / 'new' / 'place'
    assert main(['experiment', 'priorities', '--quick', '--out', str(out)]) == 0
    found = json.loads((out / 'priorities' / 'priorities.json').read_text(encoding='utf-8'))
    assert found['origin']['command'] == f'pamdi experiment priorities --quick --out {out}'
    assert (out / 'priorities' / 'priorities_share.png').is_file()
    text = capsys.readouterr().out
    assert 'priorities: ' in text
    assert 'begin with priorities.md' in text


def test_a_name_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['experiment', 'baseline', '--out', str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "'baseline' is no experiment" in error
    for name in EXPERIMENTS:
        assert name in error
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'file').touch()
    assert main(['experiment', 'all', '--out', str(tmp_path / 'file')]) == 2
    assert 'cannot be written to' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--seconds', '0'], 'no number above 0'),
        (['--seed', '1', 'x'], 'invalid int'),
    ],
)
def test_bad_numbers(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['experiment', 'scale', '--out', str(tmp_path), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_every_experiment_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['experiment', '--help']) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in EXPERIMENTS)
