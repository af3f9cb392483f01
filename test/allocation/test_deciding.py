# SPDX-License-Identifier: Apache-2.0
"""Where tasks go, decided many at once."""

from __future__ import annotations

import numpy as np
from pamdi_ros.allocation.deciding import decide, View
from pamdi_ros.allocation.options import Options, options_of, Tasks
from pamdi_ros.allocation.stages import Choice, Stage
from pamdi_ros.fleet import PolicyParameters

PARAMETERS = PolicyParameters()
WEIGHTS = np.array([16.0, 4.0])
SERVICE_S = 0.1


def choice(worker: str, wire_s: float = 0.0) -> Choice:
    return Choice(
        worker=worker,
        latency_s=0.001 if wire_s else 0.0,
        wire_s=wire_s,
        service_s=SERVICE_S,
        unit_s=0.01,
        left_s=0.005,
        rest_s=0.0,
        rest_charge_s=0.0,
        after=None,
        home_s=0.0,
    )


def options(rank: int) -> Options:
    """Give a source whose home is `a` and whose only peer is `b`."""
    stage = Stage(worker='a', unit=0, choices=(choice('a'), choice('b', 0.01)))
    tasks = Tasks(
        source='s',
        rank=rank,
        weight=float(WEIGHTS[rank]),
        rate_hz=1.0,
        stages=(stage,),
        urgent_hz={'a': 0.0, 'b': 0.0},
    )
    return options_of([tasks], {'a': 0, 'b': 1}, PARAMETERS)


def taken(rank: int, told_s: list[list[float]], asked_s: list[list[float]] | None = None) -> int:
    """Give the choice over such work by worker and class."""
    told, asked = np.array([told_s]), np.array([told_s if asked_s is None else asked_s])
    view = View(
        told_s=told,
        asked_s=asked,
        typical_s=np.full(told.shape, SERVICE_S),
        wire_s=np.zeros((1, 2)),
        piece_s=np.ones((1, 2)),
        slowdown=np.ones(1),
    )
    chance = np.random.default_rng(0)
    return int(decide(options(rank), PARAMETERS, WEIGHTS, np.array([0]), view, chance)[0])


IDLE = [0.0, 0.0]


def test_home_where_nothing_waits() -> None:
    assert taken(0, [IDLE, IDLE]) == 0


def test_to_the_peer_where_home_is_busy() -> None:
    assert taken(0, [[0.3, 0.0], IDLE]) == 1


def test_the_way_hides_waiting_there() -> None:
    assert taken(0, [[0.05, 0.0], [0.01, 0.0]]) == 1


def test_work_of_lower_classes_is_only_pushed_back() -> None:
    """A tenth of a service of weight 4 beside weight 16 costs less than the transfer saves."""
    assert taken(0, [[0.2, 0.0], [0.0, 5.0]]) == 1
    assert taken(1, [[0.0, 0.2], [0.0, 5.0]]) == 0


def test_the_top_class_believes_the_heartbeat_the_others_ask() -> None:
    full, heartbeat, truth = [0.3, 0.3], IDLE, [2.0, 2.0]
    assert taken(0, [full, heartbeat], [full, truth]) == 1
    assert taken(1, [full, heartbeat], [full, truth]) == 0
