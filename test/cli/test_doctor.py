# SPDX-License-Identifier: Apache-2.0
"""`pamdi doctor` as a process: beside a running fleet that is not well, and with no fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

from nodes.conftest import on_this_host  # noqa: F401 - keeps the fleet's traffic on this host
from nodes.running_fleet import RunningFleet
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

DOMAIN = 96
EMPTY_DOMAIN = 97
PATIENCE_S = 180.0
PAMDI = [sys.executable, str(Path(__file__).parents[2] / 'scripts' / 'pamdi')]
PAIR = """
fleet: sick
priority_classes: {normal: {weight: 1}}
models: {resnet18: {zoo: resnet18, input_shape: [3, 224, 224]}}
workers:
  one: {device: cpu, ms_per_gflop: 1, emulate: true, compute: none}
  two: {device: cpu, ms_per_gflop: 1, emulate: true, compute: none}
links: {default: {bandwidth_mbps: 1000, latency_ms: 0.5}}
sources:
  camera: {worker: one, topic: image, type: sensor_msgs/msg/Image, model: resnet18,
           priority: normal}
"""
TOPIC = '/sick/one/image'


#: Stands in for torch, whose import takes seconds that add nothing here.
NO_TORCH = "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"


Doctor = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope='module')
def doctor(tmp_path_factory: pytest.TempPathFactory) -> Doctor:
    """Return a function that runs the command."""
    directory = tmp_path_factory.mktemp('path')
    (directory / 'torch.py').write_text(NO_TORCH)

    def run(*words: object, domain: int, before: str = '') -> subprocess.CompletedProcess[str]:
        path = [before, str(directory), os.environ.get('PYTHONPATH', '')]
        environment = {
            **os.environ,
            'ROS_DOMAIN_ID': str(domain),
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            'PYTHONPATH': os.pathsep.join(filter(None, path)),
        }
        return subprocess.run(
            [*PAMDI, 'doctor', *map(str, words)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    return run


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    outcome = json.loads(done.stdout)
    assert outcome['ok'] == (done.returncode == 0)
    assert 'Traceback' not in done.stderr
    return {finding['check']: finding for finding in outcome['findings']}


@pytest.fixture(scope='module')
def sick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    """Yield a fleet whose home insists on reliable images."""
    directory = tmp_path_factory.mktemp('sick')
    reliable = {f'qos_overrides.{TOPIC}.subscription.reliability': 'reliable'}
    home = {'ROS_HOME': str(directory / 'ros')}
    with RunningFleet(PAIR, directory, DOMAIN, home, parameters=reliable) as fleet:
        yield fleet


def test_a_fleet_that_is_well_then_one_that_is_not(doctor: Doctor, sick: RunningFleet) -> None:
    reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    driver = sick.client.publisher(TOPIC, Image, reliable)
    well = doctor(sick.file, '--seconds', 60, '--json', '-', domain=DOMAIN)
    found = findings(well)
    for check in ('worker one', 'worker two', 'allocator', 'source camera', 'QoS', 'clocks'):
        assert found[check]['verdict'] == 'OK', found[check]
    assert 'still to come: nothing' in found['memory']['message']
    assert 'worker one' in well.stderr  # the table, where standard output is the JSON's

    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    sick.client.node.destroy_publisher(driver)
    sick.client.node.create_publisher(Image, TOPIC, best_effort)
    sick.kill('two/executor')
    done = doctor(sick.file, '--json', '-', domain=DOMAIN)
    assert done.returncode == 1
    found = findings(done)
    assert found['worker one']['verdict'] == 'OK'
    assert found['worker two']['verdict'] == 'FAIL' and found['worker two']['remedy']
    mismatch = found[f'QoS of {TOPIC}']
    assert mismatch['verdict'] == 'FAIL'
    assert 'best_effort' in mismatch['message'] and 'reliable' in mismatch['message']
    assert 'subscribe best effort' in mismatch['remedy']
    assert f'qos_overrides.{TOPIC}' in mismatch['remedy']


def test_without_a_file_the_fleets_around_are_told(
    doctor: Doctor, sick: RunningFleet, tmp_path: Path
) -> None:
    path = tmp_path / 'doctor.json'
    done = doctor('--seconds', 6, '--json', path, domain=DOMAIN)
    assert '/sick with 2 workers' in done.stdout
    assert json.loads(path.read_text())['fleet'] is None


def test_nothing_around(doctor: Doctor, tmp_path: Path) -> None:
    done = doctor('--seconds', 1, '--json', '-', domain=EMPTY_DOMAIN)
    assert f'none seen in domain {EMPTY_DOMAIN}' in findings(done)['fleets']['message']
    fleet = tmp_path / 'fleet.yaml'
    fleet.write_text(PAIR.replace('sick', 'absent'))
    absent = doctor(fleet, '--seconds', 1, '--worker', 'one', domain=EMPTY_DOMAIN)
    assert absent.returncode == 1
    assert 'none of one, two and no allocator of /absent' in absent.stdout


def test_without_ros_it_says_so(doctor: Doctor, tmp_path: Path) -> None:
    stub = tmp_path / 'rclpy.py'
    stub.write_text("raise ModuleNotFoundError('No module named rclpy', name='rclpy')\n")
    found = findings(
        doctor('--seconds', 1, '--json', '-', domain=EMPTY_DOMAIN, before=str(tmp_path))
    )
    assert found['fleets']['verdict'] == 'WARN'
    assert 'there is no rclpy here' in found['fleets']['message']


@pytest.mark.parametrize(
    'words',
    [['no_such.yaml'], ['--worker', 'one'], ['--seconds', '0'], ['FLEET', '--worker', 'nine']],
)
def test_bad_input(doctor: Doctor, words: list[str], tmp_path: Path) -> None:
    fleet = tmp_path / 'fleet.yaml'
    fleet.write_text(PAIR)
    chosen = [str(fleet) if word == 'FLEET' else word for word in words]
    done = doctor(*chosen, domain=EMPTY_DOMAIN)
    assert done.returncode == 2 and done.stderr and not done.stdout
