# SPDX-License-Identifier: Apache-2.0
"""What every file of the tree has in common, and what the build installs."""

from __future__ import annotations

from pathlib import Path
import re

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACES = ('pamdi_ros', 'launch', 'scripts', 'test')
SOURCES = sorted(
    path
    for place in PLACES
    for path in (ROOT / place).rglob('*')
    if path.is_file() and path.suffix in ('', '.py', '.sh') and '__pycache__' not in path.parts
)
OTHERS = [ROOT / name for name in ('Makefile', 'CMakeLists.txt', 'setup.py', 'env.sh', '.ci/run')]
OTHERS += sorted((ROOT / 'requirements').glob('*.txt'))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize('path', SOURCES + OTHERS, ids=named)
def test_file_names_its_licence(path: Path) -> None:
    lines = path.read_text(encoding='utf-8').splitlines()
    first = lines[1] if lines[0].startswith('#!') else lines[0]
    assert first == '# SPDX-License-Identifier: Apache-2.0'


@pytest.mark.parametrize('path', [p for p in SOURCES if p.suffix == '.py'], ids=named)
def test_file_can_be_read_in_one_go(path: Path) -> None:
    lines = len(path.read_text(encoding='utf-8').splitlines())
    assert lines <= 400


def test_every_program_is_executable_and_installed() -> None:
    programs = [
        path for path in (ROOT / 'scripts').iterdir() if path.is_file() and not path.suffix
    ]
    cmake = (ROOT / 'CMakeLists.txt').read_text(encoding='utf-8')
    installed = re.findall(r'^  scripts/(\w+)$', cmake, re.MULTILINE)
    assert installed == sorted(path.name for path in programs)
    for path in programs:
        assert path.stat().st_mode & 0o111, f'{named(path)} is not executable'
