# SPDX-License-Identifier: Apache-2.0
"""A good file becomes a Fleet in seconds and bytes."""

from __future__ import annotations

import math
import pickle
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.fleet import Exit, Fleet, Link, parse_fleet
from pamdi_ros.fleet.build import flops_within
import pytest


@pytest.fixture
def fleet(good: dict[str, Any]) -> Fleet:
    return parse_fleet(good)


def test_units_are_seconds_and_bytes(fleet: Fleet) -> None:
    worker = fleet.workers['robot1']
    assert worker.memory_bytes == 4_096_000_000
    assert worker.seconds_per_flop == pytest.approx(8e-12)
    assert worker.overhead_s == pytest.approx(150e-6)
    assert fleet.accuracy_gain == pytest.approx(0.5)
    assert fleet.links.default == Link(bandwidth_bytes_per_s=12.5e6, latency_s=0.002)
    assert fleet.priority_classes[0].qos.deadline_s == pytest.approx(0.2)


def test_classes_keep_the_order_of_the_file(fleet: Fleet) -> None:
    assert [(c.name, c.rank, c.weight) for c in fleet.priority_classes] == [
        ('critical', 0, 16.0),
        ('normal', 1, 4.0),
    ]
    assert fleet.priority_class('normal').rank == 1
    with pytest.raises(KeyError):
        fleet.priority_class('urgent')


def test_named_pairs_come_before_the_default_link(fleet: Fleet) -> None:
    slow = fleet.links.between('robot3', 'robot1')
    assert slow is not None and slow.bandwidth_bytes_per_s == pytest.approx(2.5e6)
    assert fleet.links.between('robot1', 'robot2') == fleet.links.default
    assert fleet.links.shared


def test_without_a_default_only_named_pairs_have_links(good: dict[str, Any]) -> None:
    good['links'] = {
        'default': None,
        'pairs': [
            {'between': ['robot1', 'robot2'], 'bandwidth_mbps': 1},
            {'between': ['robot2', 'robot3'], 'bandwidth_mbps': 1},
        ],
    }
    links = parse_fleet(good).links
    assert links.between('robot1', 'robot3') is None
    assert links.between('robot2', 'robot1') is not None


def test_deadline_and_lifespan_come_from_source_class_default_in_that_order(fleet: Fleet) -> None:
    camera, lidar, text = (fleet.sources[name] for name in ('camera', 'lidar', 'text'))
    assert (camera.deadline_s, camera.lifespan_s) == (pytest.approx(0.2), pytest.approx(0.5))
    assert (lidar.deadline_s, lidar.lifespan_s) == (pytest.approx(0.6), pytest.approx(0.7))
    assert (text.deadline_s, text.lifespan_s) == (None, 10.0)


def test_models_give_the_mapping_that_builds_them(fleet: Fleet, good: dict[str, Any]) -> None:
    assert fleet.model_of('camera').exits[0] == Exit(unit=6, accuracy=0.5, threshold=0.9)
    good['models']['resnet50']['exits'][0]['threshold'] = 1
    threshold = parse_fleet(good).model_of('camera').exits[0].threshold
    assert isinstance(threshold, float)  # a message's field takes nothing else
    good['models']['resnet50']['exits'][0]['threshold'] = 0.9
    for name, entry in good['models'].items():
        # 8 ms on robot1, the only worker of declared speed: 8 ms per GFLOP
        added = {'weights': 'seed:0', 'unit_flops': 1_000_000_000}
        assert fleet.models[name].as_mapping() == added | entry


def test_the_slowest_declared_worker_bounds_the_units(good: dict[str, Any]) -> None:
    good['workers']['robot2'] = {'ms_per_gflop': 20}
    good['policy_parameters'] = {'quantum_s': 0.004}
    assert parse_fleet(good).models['gpt2'].unit_flops == 200_000_000
    del good['policy_parameters']
    assert parse_fleet(good).models['gpt2'].unit_flops == 400_000_000
    good['workers'] = {name: {} for name in good['workers']}
    spec = parse_fleet(good).models['gpt2']
    assert spec.unit_flops is None
    assert 'unit_flops' not in spec.as_mapping()


def test_nearly_equal_speeds_give_the_same_units() -> None:
    assert flops_within(0.008, [4e-12, None, 2e-11]) == 400_000_000
    assert flops_within(0.008, [1.93e-11]) == flops_within(0.008, [1.91e-11]) == 410_000_000
    assert flops_within(0.0, [1e-12]) == 1
    assert flops_within(0.008, [None]) is None
    assert flops_within(0.008, [5e-324]) is None


@given(st.floats(0, 1e9), st.floats(1e-30, 1e9))
def test_a_unit_of_that_size_is_within_the_quantum(quantum_s: float, speed: float) -> None:
    flops = flops_within(quantum_s, [speed])
    assert flops is not None
    assert flops == 1 or flops * speed <= quantum_s * 1.001
    assert (flops * 1.11 + 1) * speed >= quantum_s * 0.999


def test_gpt2_without_tokens_has_the_default(good: dict[str, Any]) -> None:
    good['models']['gpt2'] = {'zoo': 'gpt2'}
    assert parse_fleet(good).models['gpt2'].tokens == 64


def test_conversion_of_frames_and_clouds(fleet: Fleet, good: dict[str, Any]) -> None:
    lidar = fleet.sources['lidar']
    assert lidar.range_image is not None
    assert lidar.range_image.fov_down_rad == pytest.approx(math.radians(-15))
    assert fleet.sources['camera'].range_image is None
    assert fleet.sources['camera'].preprocess.mode == 'crop'
    good['sources']['camera']['model'] = 'own'
    assert len(parse_fleet(good).sources['camera'].preprocess.mean) == 1


def test_a_cloud_source_always_has_a_range_image(good: dict[str, Any]) -> None:
    del good['sources']['lidar']['range_image']
    range_image = parse_fleet(good).sources['lidar'].range_image
    assert range_image is not None and range_image.fov_down_rad < range_image.fov_up_rad


def test_sources_at_and_events_in_order(fleet: Fleet) -> None:
    assert [source.name for source in fleet.sources_at('robot2')] == ['lidar']
    assert [event.action for event in fleet.events] == [
        'kill',
        'set_priority',
        'set_rate',
        'set_speed',
        'revive',
        'set_link',
    ]
    assert fleet.events[0].worker == 'robot3'
    assert fleet.events[1].priorities == {'camera': 'normal'}
    assert fleet.events[3].speeds == {'robot2': 0.5}
    assert fleet.events[-1].between == {'robot1', 'robot2'}
    assert fleet.events[-1].link is None


def test_a_fleet_is_frozen_and_pickles(fleet: Fleet) -> None:
    with pytest.raises(TypeError):
        fleet.workers['robot9'] = fleet.workers['robot1']  # type: ignore[index]
    with pytest.raises(AttributeError):
        fleet.name = 'other'  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(fleet)) == fleet
    assert isinstance(hash(fleet), int)
