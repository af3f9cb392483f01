# SPDX-License-Identifier: Apache-2.0
"""A good file becomes a Fleet in seconds and bytes."""

from __future__ import annotations

import math
import pickle
from typing import Any

from pamdi_ros.fleet import Exit, Fleet, Link, parse_fleet
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
    for name, entry in good['models'].items():
        assert fleet.models[name].as_mapping() == {'weights': 'seed:0'} | entry


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
        'revive',
        'set_link',
    ]
    assert fleet.events[0].worker == 'robot3'
    assert fleet.events[1].priorities == {'camera': 'normal'}
    assert fleet.events[-1].between == {'robot1', 'robot2'}
    assert fleet.events[-1].link is None


def test_a_fleet_is_frozen_and_pickles(fleet: Fleet) -> None:
    with pytest.raises(TypeError):
        fleet.workers['robot9'] = fleet.workers['robot1']  # type: ignore[index]
    with pytest.raises(AttributeError):
        fleet.name = 'other'  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(fleet)) == fleet
    assert isinstance(hash(fleet), int)
