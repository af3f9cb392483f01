# SPDX-License-Identifier: Apache-2.0
"""The analyzers of diagnostic_aggregator that are shipped take every status that a fleet has."""

from __future__ import annotations

from pathlib import Path

from pamdi_ros.monitor.checks import CHECKS
import yaml

PATH = Path(__file__).resolve().parents[2] / 'config' / 'aggregator.yaml'
#: What GenericAnalyzer reads, and as what.
KNOWN = {
    'type': str, 'path': str, 'contains': list, 'timeout': float, 'discard_stale': bool,
}  # fmt: skip
NAMES = {
    '/warehouse: worker robot1': 'Workers',
    '/site/warehouse: source front_camera': 'Sources',
    '/warehouse: link robot1 to robot2': 'Links',
    '/warehouse: allocator': 'Allocator',
    **{f'/warehouse: check {check.name}': 'Checks' for check in CHECKS},
}


def analyzers() -> dict[str, dict[str, object]]:
    """Return the analyzers by path."""
    (parameters,) = yaml.safe_load(PATH.read_text(encoding='utf-8'))['/**'].values()
    assert isinstance(parameters['pub_rate'], float)  # read with as_double, which takes no integer
    found = [value for value in parameters.values() if isinstance(value, dict)]
    return {str(one['path']): one for one in found}


def parts(analyzer: dict[str, object]) -> list[str]:
    """Return the parts of names that an analyzer takes."""
    taken = analyzer['contains']
    assert isinstance(taken, list)
    return taken


def test_each_status_has_one_analyzer() -> None:
    found = analyzers()
    takes = {
        name: [path for path, one in found.items() if any(part in name for part in parts(one))]
        for name in NAMES
    }
    assert takes == {name: [path] for name, path in NAMES.items()}


def test_the_analyzers_are_written_as_the_aggregator_reads_them() -> None:
    for one in analyzers().values():
        assert one['type'] == 'diagnostic_aggregator/GenericAnalyzer'
        assert {key: type(value) for key, value in one.items()} == {key: KNOWN[key] for key in one}
