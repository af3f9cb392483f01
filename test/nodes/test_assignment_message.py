# SPDX-License-Identifier: Apache-2.0
"""Assignments over the wire: there and back, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

from pamdi_ros.fleet import parse_fleet
from pamdi_ros.msg import Assignment
from pamdi_ros.nodes.assignment_message import from_message, to_message
import pytest
from worker.cases import FLEET, make_plan

Change = Callable[[Assignment], None]


def example() -> Assignment:
    """Give a good assignment of the tests' fleet."""
    plan = make_plan(3, camera=(('a', 0, 1), ('b', 1, 4)), map_=())
    return to_message(plan, parse_fleet(FLEET))


def test_a_plan_survives_the_wire() -> None:
    plan = make_plan(3, camera=(('a', 0, 1), ('b', 1, 4)), map_=())
    fleet = parse_fleet(FLEET)
    read = from_message(to_message(plan, fleet), fleet)
    assert (read.epoch, read.policy) == (plan.epoch, plan.policy)
    assert read.placement == plan.placement
    assert read.sources == plan.sources


def set_leg(index: int, **fields: object) -> Change:
    """Change one leg of the first source's route."""

    def change(message: Assignment) -> None:
        for name, value in fields.items():
            setattr(message.sources[0].route[index], name, value)

    return change


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        (lambda m: setattr(m, 'fleet', 'other'), "for fleet 'other'"),
        (lambda m: setattr(m.placements[0], 'worker', 'x'), "places 'net' at 'x'"),
        (lambda m: setattr(m.sources[0], 'source', 'radar'), "source 'radar'"),
        (lambda m: setattr(m.sources[0], 'model', 'other'), "through 'other'"),
        (lambda m: setattr(m.sources[0], 'priority_class', 'x'), "class 'x', unknown"),
        (set_leg(1, worker='x'), "over 'x', unknown"),
        (set_leg(1, first_unit=2), r'units \[2, 4\) where unit 1 is next'),
        (set_leg(1, first_unit=0), r'units \[0, 4\) where unit 1 is next'),
        (set_leg(1, last_unit=1), r'units \[1, 1\) where unit 1 is next'),
        (set_leg(1, last_unit=3), 'ends at unit 3 of 4'),
    ],
)
def test_an_assignment_that_makes_no_sense_is_refused(change: Change, text: str) -> None:
    message = example()
    change(message)
    with pytest.raises(ValueError, match=text):
        from_message(message, parse_fleet(FLEET))
