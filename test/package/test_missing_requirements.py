# SPDX-License-Identifier: Apache-2.0
"""What is added to a sourced ROS 2, and what is never replaced there."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[2]
TORCH = ['# comment', '', 'torch==2.14.1', 'torchvision==0.29.1  # why']
Run = Callable[[list[str]], subprocess.CompletedProcess[str]]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Directory that stands for the sourced Python's packages."""
    (tmp_path / 'site').mkdir()
    return tmp_path / 'site'


@pytest.fixture
def run(tmp_path: Path, site: Path) -> Run:
    """Run the script in a Python whose only packages are those of `site`."""

    def call(lines: list[str]) -> subprocess.CompletedProcess[str]:
        (tmp_path / 'requirements.txt').write_text('\n'.join(lines), encoding='utf-8')
        script = ROOT / 'scripts' / 'missing_requirements.py'
        return subprocess.run(
            # -S: without site-packages; a venv's would show through otherwise.
            [sys.executable, '-S', str(script), str(tmp_path / 'requirements.txt')],
            env={**os.environ, 'PYTHONPATH': str(site)},
            capture_output=True,
            text=True,
        )

    return call


def install(site: Path, name: str, version: str | None, module: str | None = None) -> None:
    """Put a fake package there; without a version, as a build that pip does not know."""
    (site / (module or name)).mkdir()
    (site / (module or name) / '__init__.py').touch()
    if version:
        info = site / f'{name}-{version}.dist-info'
        info.mkdir()
        text = f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n'
        (info / 'METADATA').write_text(text, encoding='utf-8')


def test_lists_what_is_absent(run: Run) -> None:
    assert run(TORCH).stdout.split() == ['torch==2.14.1', 'torchvision==0.29.1']


def test_nothing_absent_is_an_empty_file(run: Run, site: Path) -> None:
    install(site, 'torch', '2.3.0')
    install(site, 'torchvision', '0.18.0')
    assert run(TORCH).stdout == ''


def test_an_installed_torch_is_pinned_whatever_its_version(run: Run, site: Path) -> None:
    install(site, 'torch', '2.3.0')
    install(site, 'torchvision', '0.18.0')
    install(site, 'numpy', '1.26.4')
    out = run([*TORCH, 'numpy>=2', 'transformers==4.57.6']).stdout.split()
    assert out == ['transformers==4.57.6', 'torch==2.3.0', 'torchvision==0.18.0', 'numpy==1.26.4']


def test_torchvision_follows_the_installed_torch(run: Run, site: Path) -> None:
    install(site, 'torch', '2.3.0+cu121')
    assert run(TORCH).stdout.split() == ['torchvision', 'torch==2.3.0+cu121']


@pytest.mark.parametrize('version', ['2.3.0a0+6ddf5cf85e.nv24.04', None])
def test_a_jetsons_torch_is_not_replaced_for_torchvision(
    run: Run, site: Path, version: str | None
) -> None:
    install(site, 'torch', version)
    done = run(TORCH)
    assert done.returncode != 0
    assert done.stdout == ''
    assert 'install the torchvision that belongs to this torch' in done.stderr


def test_import_names_differ_from_distributions(run: Run, site: Path) -> None:
    install(site, 'opencv', None, module='cv2')  # as Debian's python3-opencv
    install(site, 'pyyaml', None, module='yaml')
    install(site, 'pillow', None, module='PIL')
    assert run(['opencv-python-headless>=4.8,<5', 'pyyaml>=6', 'pillow>=9']).stdout == ''


def test_a_mere_directory_is_no_package(run: Run, site: Path) -> None:
    (site / 'torch').mkdir()
    assert run(TORCH[:3]).stdout.split() == ['torch==2.14.1']


@pytest.mark.skipif(Path(sys.prefix) != ROOT / '.venv', reason='not the Python of make setup')
def test_every_requirement_has_an_import_name() -> None:
    """In this environment everything is installed: a name not found is a wrong name."""
    files = [f'requirements/{name}.txt' for name in ('build', 'torch', 'base', 'test')]
    command = [sys.executable, 'scripts/missing_requirements.py', *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == ''
