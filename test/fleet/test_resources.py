# SPDX-License-Identifier: Apache-2.0
"""Shipped files are found in the source tree, an install space, or a pip prefix."""

from __future__ import annotations

from pathlib import Path
import sys

from pamdi_ros.fleet import config_path
import pytest


def shipped(prefix: Path, name: str) -> Path:
    path = prefix / 'share' / 'pamdi_ros' / 'config' / name
    path.parent.mkdir(parents=True)
    path.write_text('')
    return path


def test_source_tree_comes_first() -> None:
    path = config_path('fleet.schema.json')
    assert path.is_absolute() and path.is_file()


def test_ament_prefix_then_python_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = shipped(tmp_path / 'pip', 'only_here.xml')
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'pip'))
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{tmp_path / "none"}:{tmp_path / "ament"}')
    assert config_path('only_here.xml') == pip
    ament = shipped(tmp_path / 'ament', 'only_here.xml')
    assert config_path('only_here.xml') == ament


def test_what_is_nowhere_names_the_places() -> None:
    with pytest.raises(FileNotFoundError, match=r'nothing\.xml is not installed; looked for'):
        config_path('nothing.xml')
