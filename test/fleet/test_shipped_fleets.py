# SPDX-License-Identifier: Apache-2.0
"""The fleet files that we ship, the schema, and the page that explains it agree."""

from __future__ import annotations

import json
from pathlib import Path
import subprocess
import sys
from typing import Any

import jsonschema
from pamdi_ros.fleet import config_path, load_fleet
import pytest

CONFIG = config_path('fleet.schema.json').parent
FILES = [CONFIG / 'demo.yaml', *sorted((CONFIG / 'examples').glob('*.yaml'))]


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_shipped_fleets_are_right(path: Path) -> None:
    assert load_fleet(path).sources


def test_the_demo_is_a_camera_a_lidar_and_text_on_three_workers() -> None:
    fleet = load_fleet(CONFIG / 'demo.yaml')
    assert len(fleet.workers) == 3
    facts = {name: (s.priority, s.rate_hz, s.worker) for name, s in fleet.sources.items()}
    assert facts == {
        'camera': ('critical', 3, 'robot1'),
        'lidar': ('normal', 2, 'robot2'),
        'text': ('background', pytest.approx(1 / 3, rel=1e-3), 'robot3'),
    }


def _keys(schema: Any) -> set[str]:
    """Names of all properties in a schema."""
    if isinstance(schema, list):
        return set().union(*map(_keys, schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    own = set(schema['properties']) if isinstance(schema.get('properties'), dict) else set()
    return own.union(*map(_keys, schema.values())) if schema else own


def _undescribed(schema: Any, path: str = '') -> list[str]:
    """Paths of the properties and items that lack a description."""
    if isinstance(schema, list):
        return [found for entry in schema for found in _undescribed(entry, path)]
    if not isinstance(schema, dict):
        return []
    found = [
        found for key, entry in schema.items() for found in _undescribed(entry, f'{path}/{key}')
    ]
    if 'type' in schema and isinstance(schema['type'], str) and 'description' not in schema:
        found.append(path)
    return found


def test_the_schema_is_valid_and_describes_everything() -> None:
    schema = json.loads((CONFIG / 'fleet.schema.json').read_text(encoding='utf-8'))
    draft = getattr(jsonschema, 'Draft202012Validator', jsonschema.Draft7Validator)
    draft.check_schema(schema)
    assert _undescribed(schema) == []


def test_every_key_is_in_the_page_that_explains_them() -> None:
    page = (CONFIG.parent / 'docs' / 'fleet_yaml.md').read_text(encoding='utf-8')
    schema = json.loads((CONFIG / 'fleet.schema.json').read_text(encoding='utf-8'))
    assert [key for key in sorted(_keys(schema)) if f'`{key}`' not in page] == []


def test_the_fleet_package_needs_neither_torch_nor_ros() -> None:
    code = (
        'import sys, pamdi_ros.fleet, pamdi_ros.cli.main\n'
        'bad = {"torch", "rclpy", "numpy"} & set(sys.modules)\n'
        'raise SystemExit(str(bad) if bad else 0)'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
