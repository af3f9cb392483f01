# SPDX-License-Identifier: Apache-2.0
"""Custody: of each item the furthest task handed on, within a bound of bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.worker import ItemKey
from pamdi_ros.worker.transfer.retention import REMEMBERED, RetentionBuffer
from worker.cases import foreign


def sized(seq: int, size: int, **changes: object) -> object:
    return foreign(seq=seq, payload_bytes=size, payload=('tensors', seq), **changes)


def test_of_an_item_only_the_last_task_handed_on_is_kept() -> None:
    custody = RetentionBuffer(100)
    custody.keep(sized(1, 10, next_unit=1), 'b', False)
    custody.keep(sized(1, 20, next_unit=2), 'c', False)
    kept = custody.of(foreign().key)
    assert kept is not None
    assert (kept.worker, kept.task.next_unit, custody.bytes, len(custody)) == ('c', 2, 20, 1)
    assert custody.at('b') == []


def test_beyond_the_bound_the_oldest_tensors_go_first_and_the_items_stay() -> None:
    custody = RetentionBuffer(100)
    for seq in (1, 2, 3):
        custody.keep(sized(seq, 40), 'b', False)
    kept = custody.at('b')
    assert [(one.task.key.seq, one.whole) for one in kept] == [(1, False), (2, True), (3, True)]
    assert [one.task.payload is None for one in kept] == [True, False, False]
    assert custody.bytes == 80


def test_a_task_handed_on_again_is_the_newest() -> None:
    custody = RetentionBuffer(100)
    for seq in (1, 2, 1, 3):
        custody.keep(sized(seq, 40), 'b', False)
    whole = {one.task.key.seq: one.whole for one in custody.at('b')}
    assert whole == {2: False, 1: True, 3: True}


def test_what_is_larger_than_the_bound_is_not_kept_whole() -> None:
    custody = RetentionBuffer(100)
    custody.keep(sized(1, 101), 'b', False)
    assert custody.bytes == 0
    assert custody.of(foreign().key) is not None


def test_a_released_item_is_known_to_have_ended_and_a_given_back_one_is_not() -> None:
    custody = RetentionBuffer(100)
    for seq in (1, 2):
        custody.keep(sized(seq, 10), 'b', False)
    custody.release(foreign(seq=1).key)
    back = custody.take_out(foreign(seq=2).key)
    assert back is not None
    assert back.task.payload == ('tensors', 2)
    assert (custody.bytes, len(custody)) == (0, 0)
    assert custody.ended(foreign(seq=1).key)
    assert not custody.ended(foreign(seq=2).key)


def test_the_memory_of_ended_items_is_bounded() -> None:
    custody = RetentionBuffer(100)
    for seq in range(REMEMBERED + 1):
        custody.release(ItemKey('camera', 1, seq))
    assert not custody.ended(ItemKey('camera', 1, 0))
    assert custody.ended(ItemKey('camera', 1, REMEMBERED))


def test_some_kind_can_be_let_go() -> None:
    custody = RetentionBuffer(100)
    for seq, lifespan_s in ((1, 1.0), (2, 9.0)):
        custody.keep(sized(seq, 10, lifespan_s=lifespan_s), 'b', False)
    custody.expire(lambda task: task.expired(2.0))
    assert [one.task.key.seq for one in custody.at('b')] == [2]
    assert custody.bytes == 10


STEPS = st.lists(
    st.tuples(st.sampled_from(['keep', 'answer', 'release', 'back']), st.integers(1, 6),
              st.integers(0, 80)),
    max_size=40,
)  # fmt: skip


@given(STEPS)
def test_the_bound_is_never_exceeded_and_the_bytes_add_up(
    steps: list[tuple[str, int, int]],
) -> None:
    custody = RetentionBuffer(100)
    for step, seq, size in steps:
        if step in ('keep', 'answer'):
            custody.keep(sized(seq, size), 'b', step == 'answer')
        elif step == 'release':
            custody.release(foreign(seq=seq).key)
        else:
            custody.take_out(foreign(seq=seq).key)
        kept = custody.at('b')
        assert custody.bytes == sum(one.task.payload_bytes for one in kept if one.whole) <= 100
        assert all(one.whole == (one.task.payload is not None) for one in kept)


def test_what_is_given_back_can_be_kept_on_as_it_was() -> None:
    custody = RetentionBuffer(100)
    for seq in (1, 2, 3):
        custody.keep(sized(seq, 40), 'b', True)
    for seq, whole in ((1, False), (3, True)):
        back = custody.take_out(foreign(seq=seq).key)
        assert back is not None
        custody.restore(back)
        assert custody.of(foreign(seq=seq).key) is back
        assert back.whole is whole
    assert (custody.bytes, custody.stripped) == (80, 1)
