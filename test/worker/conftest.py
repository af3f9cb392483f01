# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the state machine's tests."""

from __future__ import annotations

from collections.abc import Callable

from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.worker import Plan, Worker
import pytest
from worker.cases import FLEET, make_plan


@pytest.fixture(scope='session')
def fleet() -> Fleet:
    """Two sources, three workers, one model of four units."""
    return parse_fleet(FLEET)


@pytest.fixture
def plan() -> Plan:
    """Cameras's units go a -> b -> c; the map's stay at b, then c."""
    return make_plan(1, camera=(('a', 0, 1), ('b', 1, 3), ('c', 3, 4)), map_=(('b', 0, 4),))


@pytest.fixture
def make_worker(fleet: Fleet, plan: Plan) -> Callable[..., Worker]:
    """Make a worker that has its assignment and holds its partitions."""

    def make(name: str, its_plan: Plan = plan, incarnation: int = 7) -> Worker:
        worker = Worker(name, fleet, incarnation=incarnation)
        assert worker.assigned(its_plan, 0.0) == []
        assert worker.holding(its_plan.partitions(name), 0.0) == []
        return worker

    return make
