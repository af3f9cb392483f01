# SPDX-License-Identifier: Apache-2.0
"""The queue's order and who gives way when too many of a source wait."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.worker import Hop, StageExecution
from pamdi_ros.worker.scheduling.queue import ExecutionQueue
import pytest
from worker.cases import foreign, stay_of


def queue_of(*executions: StageExecution) -> ExecutionQueue:
    queue = ExecutionQueue()
    for execution in executions:
        queue.push(execution)
    return queue


def waiting(seq: int, order: float, **changes: object) -> StageExecution:
    """Return an execution of the camera's item `seq`, which arrived at second `seq`."""
    hops = changes.pop('hops', ())
    return stay_of(foreign(seq=seq, arrived_s=float(seq), hops=hops), (order,), **changes)


KEYS = st.tuples(st.integers(0, 2), st.floats(0, 9), st.integers(0, 10**6))
UNIQUE = st.lists(KEYS, max_size=30, unique_by=lambda key: key[-1])


@given(UNIQUE)
def test_the_smallest_order_goes_first_and_nothing_is_lost(
    orders: list[tuple[float, ...]],
) -> None:
    executions = [stay_of(foreign(), order) for order in orders]
    queue = queue_of(*executions)
    assert len(queue) == len(executions)
    assert all(execution in queue for execution in executions)
    served = [queue.pop() for _ in executions]
    assert [execution.order for execution in served] == sorted(orders)
    assert {id(execution) for execution in served} == {id(execution) for execution in executions}
    assert queue.first() is None


@given(UNIQUE, st.data())
def test_removing_takes_that_stay_and_no_other(
    orders: list[tuple[float, ...]], data: st.DataObject
) -> None:
    executions = [stay_of(foreign(), order) for order in orders]
    queue = queue_of(*executions)
    for gone in (
        data.draw(st.lists(st.sampled_from(executions), unique_by=id)) if executions else []
    ):
        queue.remove(gone)
        executions.remove(gone)
        assert gone not in queue
    assert sorted(execution.order for execution in executions) == [
        execution.order for execution in queue
    ]


def test_a_stay_is_known_by_itself_not_by_its_order() -> None:
    assert waiting(1, 5.0) not in queue_of(waiting(1, 5.0))


def test_an_empty_queue_has_nothing_to_take() -> None:
    with pytest.raises(IndexError):
        ExecutionQueue().pop()


def test_taking_some_kind_leaves_the_others_in_order() -> None:
    queue = queue_of(*(waiting(seq, float(9 - seq)) for seq in range(6)))
    taken = queue.take(lambda execution: execution.task.key.seq % 2 == 0)
    assert [execution.task.key.seq for execution in taken] == [4, 2, 0]
    assert [execution.task.key.seq for execution in queue] == [5, 3, 1]


def test_reordering_turns_the_queue_around_at_once() -> None:
    queue = queue_of(*(waiting(seq, float(seq)) for seq in (1, 2, 3)))
    queue.reorder(lambda execution: (-execution.order[0],))
    assert [execution.task.key.seq for execution in queue] == [3, 2, 1]
    queue.push(waiting(4, -2.5))
    assert [execution.task.key.seq for execution in queue] == [3, 4, 2, 1]


def test_lengths_are_counted_by_the_rank_that_is_in_force() -> None:
    promoted = waiting(1, 1.0, rank=2)
    assert queue_of(promoted, waiting(2, 2.0)).lengths(3) == (1, 0, 1)


def test_of_too_many_the_oldest_that_has_not_begun_gives_way() -> None:
    old, middle, new = (waiting(seq, float(seq)) for seq in (1, 2, 3))
    assert queue_of(old, middle, new).surplus('camera', 3) is None
    assert queue_of(old, middle, new).surplus('camera', 2) is old
    assert queue_of(old, middle, new).surplus('map', 0) is None
    old.unit += 1
    assert queue_of(old, middle, new).surplus('camera', 2) is middle
    travelled = waiting(1, 1.0, hops=(Hop('a', 0, 1),))
    assert queue_of(travelled, middle, new).surplus('camera', 2) is middle


def test_where_all_have_begun_the_oldest_gives_way() -> None:
    old, new = (waiting(seq, float(seq), hops=(Hop('a', 0, 1),)) for seq in (1, 2))
    assert queue_of(old, new).surplus('camera', 1) is old


def test_a_frame_that_was_only_prepared_has_not_begun_so_the_newest_frame_is_kept() -> None:
    prepared = waiting(1, 1.0, hops=(Hop('a', 0, 0, compute_s=0.001),))
    newest = waiting(2, 2.0, raw=True)
    assert queue_of(prepared, newest).surplus('camera', 1) is prepared


def test_age_decides_who_gives_way_not_the_order_of_service() -> None:
    older, newer = waiting(1, 9.0), waiting(2, 1.0)
    assert queue_of(older, newer).surplus('camera', 1) is older
