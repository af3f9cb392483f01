# SPDX-License-Identifier: Apache-2.0
"""Assignments over the wire: there and back, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pamdi_ros.assignment import ModelProfile, PlannedExit
from pamdi_ros.fleet import parse_fleet
from pamdi_ros.msg import Assignment
from pamdi_ros.nodes.conversions.assignment_message import from_message, to_message
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from worker.cases import FLEET, make_plan

Change = Callable[[Assignment], None]


ROUTED = make_plan(3, camera=(('a', 0, 1), ('b', 1, 4)), map_=())
EXITS = (
    PlannedExit(unit=1, accuracy=0.61),
    PlannedExit(unit=3, accuracy=0.7, threshold=0.9),
)
PLAN = replace(
    ROUTED,
    policy='pa_mdi_plus',
    sources={
        **ROUTED.sources,
        'camera': replace(ROUTED.sources['camera'], exits=EXITS, accuracy=0.76),
    },
    models={'net': ModelProfile(flops=(1, 2, 3, 2**40), boundary_bytes=(5, 6, 7, 8, 2**40))},
)


def example() -> Assignment:
    """Return a good assignment of the tests' fleet."""
    return to_message(PLAN, parse_fleet(FLEET))


def test_a_plan_survives_the_wire() -> None:
    sent = serialize_message(example())
    assert from_message(deserialize_message(sent, Assignment), parse_fleet(FLEET)) == PLAN


def set_exit(index: int, **fields: object) -> Change:
    """Change one exit of the first source."""

    def change(message: Assignment) -> None:
        for name, value in fields.items():
            setattr(message.sources[0].exits[index], name, value)

    return change


def set_leg(index: int, **fields: object) -> Change:
    """Change one stage of the first source's route."""

    def change(message: Assignment) -> None:
        for name, value in fields.items():
            setattr(message.sources[0].route[index], name, value)

    return change


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        (lambda m: setattr(m, 'fleet', 'other'), "for fleet 'other'"),
        (lambda m: setattr(m.placements[0], 'worker', 'x'), "places 'net' at 'x'"),
        (lambda m: setattr(m, 'policy', 'fastest'), "policy 'fastest', unknown"),
        (lambda m: setattr(m.models[0], 'model', 'x'), "costs of model 'x'"),
        (lambda m: setattr(m.models[0], 'flops', [1, 2, 3]), '5 boundaries of net for 3 units'),
        (lambda m: setattr(m.models[0], 'boundary_bytes', []), '0 boundaries of net for 4 units'),
        (lambda m: setattr(m, 'models', []), r'units \[0, 1\) of net at a, which has 0'),
        (lambda m: setattr(m.placements[1], 'last_unit', 5), r'units \[1, 5\) of net at b'),
        (lambda m: setattr(m.placements[1], 'last_unit', 1), r'units \[1, 1\) of net at b'),
        (lambda m: setattr(m.sources[0], 'unit_count', 5), 'counts 5 units of net for camera'),
        (lambda m: setattr(m.sources[0], 'source', 'radar'), "source 'radar'"),
        (lambda m: setattr(m.sources[0], 'model', 'other'), "through 'other'"),
        (lambda m: setattr(m.sources[0], 'priority_class', 'x'), "class 'x', unknown"),
        (set_leg(1, worker='x'), "over 'x', unknown"),
        (set_leg(1, first_unit=2), r'units \[2, 4\) where unit 1 is next'),
        (set_leg(1, first_unit=0), r'units \[0, 4\) where unit 1 is next'),
        (set_leg(1, last_unit=1), r'units \[1, 1\) where unit 1 is next'),
        (set_leg(1, last_unit=3), 'ends at unit 3 of 4'),
        (set_exit(1, unit=4), 'exits of camera have unit 4 after unit 1, of 4'),
        (set_exit(1, unit=1), 'exits of camera have unit 1 after unit 1'),
        (set_exit(0, unit=0), 'exits of camera have unit 0 after unit 0'),
        (set_exit(0, accuracy=1.5), 'accuracy or threshold of 1.5'),
        (set_exit(0, threshold=float('nan')), 'accuracy or threshold of nan'),
        (lambda m: setattr(m.sources[0], 'accuracy', -0.1), 'accuracy or threshold of -0.1'),
        (lambda m: setattr(m, 'epoch', 2**63), 'epoch = 9223372036854775808 is not within'),
        (lambda m: setattr(m.sources[0], 'solo_s', 2e6), 'solo_s of camera = 2000000.0'),
        (lambda m: setattr(m.sources[0], 'loaded_s', float('nan')), 'loaded_s of camera = nan'),
        (lambda m: setattr(m.sources[0], 'weight', float('inf')), 'weight of camera = inf'),
        (lambda m: setattr(m.models[0], 'flops', [1, 2, 3, 2**63]), 'flops of net = 922'),
        (
            lambda m: setattr(m.models[0], 'boundary_bytes', [5, 6, 7, 8, 2**41]),
            'boundary_bytes of net = 2199023255552',
        ),
        (lambda m: setattr(m, 'protocol_version', 0), 'its allocator speaks version 0'),
        (lambda m: m.models.append(m.models[0]), '2 models, more than 1'),
        (lambda m: m.sources.extend(m.sources), '4 sources, more than 3'),
        (lambda m: m.placements.extend(m.placements * 40000), 'placements, more than 65536'),
    ],
)
def test_an_assignment_that_makes_no_sense_is_refused(change: Change, text: str) -> None:
    message = example()
    change(message)
    with pytest.raises(ValueError, match=text):
        from_message(message, parse_fleet(FLEET))
