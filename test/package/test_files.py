# SPDX-License-Identifier: Apache-2.0
"""What every file of the tree has in common, and what the build installs."""

from __future__ import annotations

from pathlib import Path
import re

ROOT = Path(__file__).resolve().parents[2]
PLACES = ('pamdi_ros', 'launch', 'scripts', 'test')
SOURCES = sorted(
    path
    for place in PLACES
    for path in (ROOT / place).rglob('*')
    if path.is_file() and path.suffix in ('', '.py', '.sh') and '__pycache__' not in path.parts
)
OTHERS = [ROOT / name for name in ('Makefile', 'CMakeLists.txt', 'setup.py', 'env.sh', '.ci/run')]
OTHERS += sorted((ROOT / 'requirements').glob('*.txt')) + sorted(ROOT.glob('.github/*/*.yml'))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_file_names_its_licence() -> None:
    silent = []
    for path in SOURCES + OTHERS:
        lines = [*path.read_text(encoding='utf-8').splitlines(), '', '']
        first = lines[1] if lines[0].startswith('#!') else lines[0]
        if first != '# SPDX-License-Identifier: Apache-2.0':
            silent.append(named(path))
    assert not silent, '\n'.join(['no licence in the first line of', *silent])


def test_every_program_is_executable_and_installed() -> None:
    programs = [
        path for path in (ROOT / 'scripts').iterdir() if path.is_file() and not path.suffix
    ]
    cmake = (ROOT / 'CMakeLists.txt').read_text(encoding='utf-8')
    installed = re.findall(r'\bscripts/(\w+)', cmake)
    assert sorted(installed) == sorted(path.name for path in programs)
    for path in programs:
        assert path.stat().st_mode & 0o111, f'{named(path)} is not executable'
