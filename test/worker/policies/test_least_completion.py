# SPDX-License-Identifier: Apache-2.0
"""MS-MDI, MS-MDI+, PA-MDI: small traces computed by hand.

Two workers, so a model of four units is cut into two partitions of two.
"""

from __future__ import annotations

from pamdi_ros.worker import ModelProfile, Partition
from pamdi_ros.worker.policy import Option
from pamdi_ros.worker.routing.policies.least_completion import LeastCompletion
import pytest
from worker.bench import Bench
from worker.cases import (
    FLEET,
    frames,
    free_plan,
    heartbeat,
    item,
    make_fleet,
    PROFILE,
    run,
    started,
)

PAIR = make_fleet(workers={name: FLEET['workers'][name] for name in 'ab'})
#: b holds the first half only, and what lies between the halves takes 20 ms on the link.
TRAP = free_plan(
    holders={'a': (Partition('net', 0, 4),), 'b': (Partition('net', 0, 2),)},
    profile=ModelProfile(
        flops=PROFILE.flops, boundary_bytes=(10_000, 10_000, 200_000, 10_000, 10_000)
    ),
)


@pytest.mark.parametrize(
    ('policy', 'workers', 'latency_ms'),
    [
        # b has the first partition done after 1 + 1 + 20 ms, a after 40: to b. Then only a goes
        # on: 20 + 1 ms on the way, 40 ms there
        ('ms_mdi', 'bbaa', 83),
        # the whole remainder: by b 83 ms, at a 80: it stays
        ('ms_mdi_plus', 'aaaa', 80),
        ('pa_mdi', 'aaaa', 80),
    ],
)
def test_who_looks_ahead_does_not_walk_into_the_costly_boundary(
    policy: str, workers: str, latency_ms: float
) -> None:
    bench = Bench(PAIR, TRAP, policy=policy)
    bench.assign(free_plan(2, TRAP.placement, profile=TRAP.models['net'], policy=policy))
    bench.arrive('camera', 0.01)
    bench.run(1.0)
    assert [worker for _, _, worker, _ in bench.order()] == list(workers)
    (end,) = bench.ended.values()
    assert round(end.latency_s * 1e3, 3) == latency_ms


@pytest.mark.parametrize(
    ('policy', 'goes_to_b'),
    [
        # all work counts: at b max(2, 70) + 20 = 90 ms, at a 40
        ('ms_mdi', False),
        # at b 70 + 20, then 20 more and 2 home = 112; at a 40, then by b 2 + 20 + 2 = 64
        ('ms_mdi_plus', False),
        # b's background work is served later than the camera's: 2 + 20 + 20 + 2 = 44 there
        ('pa_mdi', True),
    ],
)
def test_who_knows_classes_counts_only_work_that_is_served_before(
    policy: str, goes_to_b: bool
) -> None:
    worker = started('a', PAIR, free_plan(holders='ab', policy=policy))
    worker.heartbeat_heard(heartbeat('b', backlog_s=(0.0, 0.07)), 0.0)
    worker.item_arrived(item(worker, 'camera', 0.0), 0.0)
    assert [frame.worker for frame in frames(worker, 0.0)] == ['b'] * goes_to_b
    assert worker.queue_lengths == (1 - goes_to_b, 0)


def test_work_of_the_same_class_counts_for_all() -> None:
    worker = started('a', PAIR, free_plan(holders='ab', policy='pa_mdi'))
    worker.heartbeat_heard(heartbeat('b', backlog_s=(0.07, 0.0)), 0.0)
    worker.item_arrived(item(worker, 'camera', 0.0), 0.0)
    assert frames(worker, 0.0) == []


@pytest.mark.parametrize(
    ('policy', 'order'),
    [
        # first come, first served; the log's second partition queues up behind the camera's first
        ('ms_mdi', 'log 0, log 1, camera 0, camera 1, log 2, log 3, camera 2, camera 3'),
        # by class, but the partition that was begun is run to its end
        ('pa_mdi', 'log 0, log 1, camera 0, camera 1, camera 2, camera 3, log 2, log 3'),
    ],
)
def test_a_partition_once_begun_is_run_to_its_end(policy: str, order: str) -> None:
    bench = Bench(PAIR, free_plan(holders='a', policy=policy))
    bench.arrive('log', 0.0)
    bench.arrive('camera', 0.005)
    bench.run(1.0)
    assert ', '.join(f'{source} {unit}' for source, _, _, unit in bench.order()) == order


def test_what_was_just_sent_counts_before_the_next_heartbeat() -> None:
    worker = started('a', PAIR, free_plan(holders='ab', policy='ms_mdi'))
    worker.heartbeat_heard(heartbeat('b'), 0.0)
    for _ in range(3):
        worker.item_arrived(item(worker, 'log', 0.0), 0.0)
    # b: 22 ms; then max(3, 20) + 20 = 40 ms, as at a, where a tie stays by name; then b again:
    # 40 at b, 40 + 40 at a
    assert [frame.worker for frame in frames(worker, 0.0)] == ['b', 'b']
    assert worker.queue_lengths == (0, 1)
    assert run(worker, 0.0).task.key.seq == 2


def test_the_cost_is_the_partitions_end_or_the_answers_coming_home() -> None:
    option = Option('b', False, last=4, way_s=0.01, wait_s=0.02, service_s=0.03, rest_s=0.04)
    near = LeastCompletion(parts=2, look_ahead=False, priority=False)
    far = LeastCompletion(parts=2, look_ahead=True, priority=False)
    assert near.cost(option, 16) == pytest.approx(0.05)
    assert far.cost(option, 16) == pytest.approx(0.09)


def test_a_stay_ends_with_its_partition_or_with_what_is_held() -> None:
    policy = LeastCompletion(parts=2, look_ahead=True, priority=True)
    assert [policy.stage_end(PROFILE, unit, 4, ()) for unit in range(4)] == [2, 2, 4, 4]
    assert policy.stage_end(PROFILE, 0, 1, (1,)) == 1
    assert policy.stage_end(PROFILE, 2, 3, ()) == 3
