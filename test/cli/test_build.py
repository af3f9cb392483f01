# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

from pamdi_ros.cli.main import main
from pamdi_ros.fleet import load_fleet
from pamdi_ros.models.build.catalog import unit_table
import pytest

FLEET = """
fleet: small
priority_classes: {normal: {weight: 1}}
models: {net: {zoo: resnet56, arguments: {blocks: 1}, input_shape: [3, 32, 32]}}
workers: {a: {}, b: {engine: torch}}
links: {default: {bandwidth_mbps: 100}}
sources:
  eye: {worker: a, topic: t, type: sensor_msgs/msg/Image, model: net, priority: normal}
"""


def test_a_fleets_models_are_built_into_a_bundle_that_it_can_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'fleet.yaml'
    path.write_text(FLEET)
    assert main(['build', str(path), '--out', str(tmp_path / 'out'), '--json', '-']) == 0
    outcome = json.loads(capsys.readouterr().out)
    (facts,) = outcome['models'].values()
    assert facts['engine'] == 'torch and onnxruntime'
    assert facts['reason'] == ''
    path.write_text(f'bundle: out\n{FLEET}')
    fleet = load_fleet(path)
    spec = fleet.models['net'].as_mapping()
    assert spec['bundle'] == str(tmp_path / 'out')
    assert unit_table(spec).digest() == facts['digest']


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / 'fleet.yaml'
    path.write_text(FLEET.replace('resnet56', 'resnet57'))
    assert main(['build', str(path), '--out', str(tmp_path / 'out')]) == 2
    assert 'resnet57' in capsys.readouterr().err
    path.write_text(FLEET)
    (tmp_path / 'file').touch()
    assert main(['build', str(path), '--out', str(tmp_path / 'file')]) == 2
    assert 'cannot be written' in capsys.readouterr().err
