# SPDX-License-Identifier: Apache-2.0
"""The queue's order and its bound."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.worker import Hop, ItemKey, Task, TaskQueue
from worker.cases import foreign

TASKS = st.builds(
    lambda source, seq, rank, arrived_s: replace(
        foreign(), key=ItemKey(source, 1, seq), rank=rank, arrived_s=arrived_s
    ),
    st.sampled_from(['camera', 'lidar']), st.integers(1, 9), st.integers(0, 1), st.floats(0, 9),
)  # fmt: skip


@given(st.lists(TASKS, max_size=30))
def test_urgent_first_then_oldest_and_nothing_is_lost(tasks: list[Task]) -> None:
    queue = TaskQueue([2, 3])
    evicted = [gone for task in tasks if (gone := queue.push(task)) is not None]
    assert all(length <= 2 * depth for length, depth in zip(queue.lengths, (2, 3), strict=True))
    served = []
    while (task := queue.pop()) is not None:
        served.append(task)
    assert {id(task) for task in served + evicted} == {id(task) for task in tasks}
    assert len(served) + len(evicted) == len(tasks)
    keys = [(task.rank, task.arrived_s) for task in served]
    assert keys == sorted(keys)


@given(st.lists(TASKS, min_size=1, max_size=30))
def test_of_what_has_not_started_the_oldest_gives_way(tasks: list[Task]) -> None:
    queue = TaskQueue([2, 3])
    for task in tasks:
        gone = queue.push(task)
        if gone is not None:
            rivals = [
                waiting
                for waiting in queue
                if waiting.key.source == gone.key.source and waiting.rank == gone.rank
            ]
            assert all(gone.arrived_s <= rival.arrived_s for rival in rivals)


def test_draining_empties_the_queue_in_order() -> None:
    queue = TaskQueue([4])
    tasks = [replace(foreign(), rank=0, arrived_s=float(t)) for t in (2, 1, 3)]
    for task in tasks:
        queue.push(task)
    assert [task.arrived_s for task in queue.drain()] == [1.0, 2.0, 3.0]
    assert len(queue) == 0


def test_a_started_item_is_not_given_up_for_a_new_one() -> None:
    queue = TaskQueue([2])
    started = replace(foreign(seq=1), arrived_s=0.0, hops=(Hop('a', 0, 1),))
    fresh = [replace(foreign(seq=seq), arrived_s=float(seq)) for seq in (2, 3)]
    assert queue.push(started) is None
    assert queue.push(fresh[0]) is None
    assert queue.push(fresh[1]) is fresh[0]
    assert queue.pop() is started
