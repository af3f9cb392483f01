# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the state machine's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pamdi_ros.fleet import Fleet
from pamdi_ros.worker import Plan, WorkerMachine
import pytest
from worker.cases import make_fleet, make_plan, started


@pytest.fixture(scope='session')
def fleet() -> Fleet:
    """Three sources, three workers, one model of four units."""
    return make_fleet()


@pytest.fixture
def plan() -> Plan:
    """The camera's units go a -> b -> c; the map's stay at b."""
    return make_plan(
        1, (('a', 0, 1), ('b', 1, 3), ('c', 3, 4)), (('b', 0, 4),), policy='static_chain'
    )


@pytest.fixture
def make_worker(fleet: Fleet, plan: Plan) -> Callable[..., WorkerMachine]:
    """Make a worker that has its assignment and holds its partitions."""

    def make(name: str, its_plan: Plan = plan, **options: Any) -> WorkerMachine:
        return started(name, fleet, its_plan, **options)

    return make
