# SPDX-License-Identifier: Apache-2.0
"""Where and with what an experiment was run."""

from __future__ import annotations

from importlib import metadata
import os
from pathlib import Path
import platform
import subprocess
from xml.etree import ElementTree

#: Libraries that the numbers depend on.
LIBRARIES = ('numpy', 'scipy', 'matplotlib')
ROOT = Path(__file__).resolve().parents[2]


def versions() -> dict[str, str | None]:
    """Return the versions of this package, its commit where it lies in one, and its libraries."""
    found: dict[str, str | None] = {'pamdi_ros': _version(), 'commit': _commit()}
    found['python'] = platform.python_version()
    return {**found, **{name: metadata.version(name) for name in LIBRARIES}}


def machine() -> dict[str, str | int | None]:
    """Return what kind of machine this is; not whose."""
    return {
        'system': f'{platform.system()} {platform.release()}',
        'architecture': platform.machine(),
        'processor': _processor(),
        'cores': os.cpu_count(),
        'memory_mb': _memory_mb(),
    }


def _version() -> str | None:
    try:
        return ElementTree.parse(ROOT / 'package.xml').getroot().findtext('version')
    except OSError:  # installed by pip
        return metadata.version('pamdi_ros')


def _commit() -> str | None:
    try:
        done = subprocess.run(
            ['git', '-C', str(ROOT), 'describe', '--always', '--dirty', '--abbrev=12'],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        lines = []
    named = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return named[0] if named else platform.processor() or 'unknown'


def _memory_mb() -> int | None:
    try:
        return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // 10**6
    except (ValueError, OSError):
        return None
