# SPDX-License-Identifier: Apache-2.0
"""The wheels' CMake files are pointed at this interpreter, once."""

from __future__ import annotations

import importlib.util
from pathlib import Path
import sysconfig
from types import ModuleType

import numpy
import pytest

ROOT = Path(__file__).resolve().parents[2]
STALE = (
    'set(A "/opt/python/cp311-cp311/include/python3.11;/usr/include")\n'
    'set(B "/opt/python/cp311-cp311/lib/python3.11/site-packages/numpy/_core/include")\n'
    'set(C "/opt/python/cp310-cp310/lib/python3.10/site-packages/numpy/core/include")\n'
)


@pytest.fixture(scope='module')
def script() -> ModuleType:
    """Module of scripts/repair_wheels.py."""
    spec = importlib.util.spec_from_file_location(
        'repair_wheels', ROOT / 'scripts' / 'repair_wheels.py'
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """CMake file of a wheel below the prefix `tmp_path`."""
    path = tmp_path / 'share' / 'std_msgs' / 'cmake' / 'export.cmake'
    path.parent.mkdir(parents=True)
    path.write_text(STALE, encoding='utf-8')
    (path.parent / 'fine.cmake').write_text('set(D "/usr/include/python3.11")\n', encoding='utf-8')
    return path


def test_paths_of_the_build_container_are_replaced(
    script: ModuleType, exported: Path, tmp_path: Path
) -> None:
    assert script.repair(tmp_path) == 1
    include, of_numpy = sysconfig.get_path('include'), numpy.get_include()
    assert exported.read_text(encoding='utf-8') == (
        f'set(A "{include};/usr/include")\nset(B "{of_numpy}")\nset(C "{of_numpy}")\n'
    )


def test_a_second_repair_changes_nothing(
    script: ModuleType, exported: Path, tmp_path: Path
) -> None:
    script.repair(tmp_path)
    before = exported.read_text(encoding='utf-8')
    assert script.repair(tmp_path) == 0
    assert exported.read_text(encoding='utf-8') == before
