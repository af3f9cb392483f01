# SPDX-License-Identifier: Apache-2.0
"""What board this is: a Jetson's power mode and clocks, and the temperature of any."""

from __future__ import annotations

from pathlib import Path
import re
import shutil
import subprocess

from pamdi_ros.doctor.host_facts import BoardFacts

ROOT = Path('/')
NVPMODEL_PATIENCE_S = 5.0


def look_at_board(root: Path = ROOT) -> BoardFacts:
    """Collect what the board tells.

    :param root: below which its files lie.
    """
    jetson = _jetson(root)
    return BoardFacts(
        jetson=jetson,
        power_mode=_power_mode() if jetson else '',
        clocks_locked=_clocks_locked(root) if jetson else None,
        hottest_c=_hottest(root),
    )


def _jetson(root: Path) -> str:
    """Model of the Jetson; empty: this is none."""
    model = _text(root / 'proc/device-tree/model').strip('\0\n ')
    if 'jetson' in model.lower() or 'orin' in model.lower():
        return model
    return 'Jetson' if (root / 'etc/nv_tegra_release').exists() else ''


def _power_mode() -> str:
    if shutil.which('nvpmodel') is None:
        return ''
    try:
        done = subprocess.run(
            ['nvpmodel', '-q'], capture_output=True, text=True, timeout=NVPMODEL_PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ''
    return parse_power_mode(done.stdout)


def parse_power_mode(told: str) -> str:
    """Name of the mode in what `nvpmodel -q` prints; empty: it names none."""
    found = re.search(r'Power Mode:\s*(\S+)', told)
    return found.group(1) if found else ''


def _clocks_locked(root: Path) -> bool | None:
    """Tell whether the processors' lowest clock is their highest, as jetson_clocks sets it."""
    locked = []
    for policy in (root / 'sys/devices/system/cpu/cpufreq').glob('policy*'):
        lowest, highest = (_text(policy / f'scaling_{end}_freq').strip() for end in ('min', 'max'))
        if lowest and highest:
            locked.append(lowest == highest)
    return all(locked) if locked else None


def _hottest(root: Path) -> float | None:
    """Return the temperature of the hottest part that tells a sensible one [deg C]."""
    found = []
    for zone in (root / 'sys/class/thermal').glob('thermal_zone*'):
        if 'pmic' in _text(zone / 'type').lower():  # a Jetson's always says 100
            continue
        text = _text(zone / 'temp').strip()
        if text.lstrip('-').isdigit() and 0 < int(text) < 150_000:
            found.append(int(text) / 1000)
    return max(found, default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors='replace')
    except OSError:  # not this kind of board, or a sensor that is switched off
        return ''
