# SPDX-License-Identifier: Apache-2.0
"""Writes what an experiment gives into a directory: JSON, Markdown, figures, fleet files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
import json
import math
from pathlib import Path
from typing import Any

from pamdi_ros.experiments.machine import machine, versions
from pamdi_ros.experiments.report import ExperimentReport
from pamdi_ros.experiments.size import Size
from pamdi_ros.experiments.style import DPI

FLEETS = 'fleets'


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """How a report came about.

    :param command: that was given.
    :param started: UTC, ISO 8601.
    :param wall_s: that it took [s].
    """

    command: str
    started: str
    wall_s: float


def write(report: ExperimentReport, size: Size, origin: Origin, directory: Path) -> list[Path]:
    """Write a report.

    :param directory: is made where it is not there.
    :returns: the files.
    :raises OSError: they cannot be written.
    """
    fleets = directory / FLEETS
    fleets.mkdir(parents=True, exist_ok=True)
    paths = []
    for drawn in report.figures:
        for suffix in ('png', 'svg'):
            paths.append(directory / f'{drawn.name}.{suffix}')
            drawn.figure.savefig(paths[-1], dpi=DPI)
    paths += [rig.write(fleets) for rig in report.rigs]
    paths.append(directory / f'{report.name}.json')
    paths[-1].write_text(json.dumps(plain(report, size, origin), indent=1) + '\n', 'utf-8')
    paths.append(directory / f'{report.name}.md')
    paths[-1].write_text(report.markdown(_told(report.how or size.how, size, origin)), 'utf-8')
    return paths


def plain(report: ExperimentReport, size: Size, origin: Origin) -> dict[str, Any]:
    """Return a report as JSON has it; what has no finite value is null."""
    content = {
        'experiment': report.name,
        'how': report.how or size.how,
        'origin': {**asdict(origin), 'versions': versions(), 'machine': machine()},
        'size': size.name,
        'seeds': size.seeds,
        'settings': report.settings,
        'fleets': {rig.name: rig.document for rig in report.rigs},
        'findings': report.findings,
        'numbers': report.numbers,
        'runs': report.runs,
    }
    return dict(_finite(content))


def _told(how: str, size: Size, origin: Origin) -> str:
    found = machine()
    return (
        f'{how[0].upper()}{how[1:]}; {size.name} size, seeds {", ".join(map(str, size.seeds))}. '
        f'`{origin.command}`, {origin.started}, {origin.wall_s:.0f} s on {found["cores"]} cores '
        f'({found["processor"]}), pamdi_ros {versions()["pamdi_ros"]}.'
    )


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_finite(item) for item in value]
    return value
