# SPDX-License-Identifier: Apache-2.0
"""Pieces that come in: a transfer is complete once, late ones are known, dead ones forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.worker import Ack
from pamdi_ros.worker.transfer.ingress import Ingress, MOST_INCOMPLETE, PATIENCE_S, REMEMBERED
from worker.cases import foreign

WORD = Ack(5, foreign().key, 1, 1, True)


@given(st.integers(2, 8).flatmap(lambda n: st.tuples(st.just(n), st.permutations(range(n)))))
def test_a_transfer_is_complete_with_its_last_piece_whatever_the_order(
    case: tuple[int, list[int]],
) -> None:
    count, order = case
    ingress = Ingress()
    complete = [ingress.piece(('a', 5), index, count, 0.0) for index in order for _ in 'xx']
    # each piece comes twice; the first copy of the last one completes the transfer
    assert complete.index(True) == 2 * count - 2


def test_transfers_of_different_senders_do_not_mix() -> None:
    ingress = Ingress()
    assert not ingress.piece(('a', 5), 0, 2, 0.0)
    assert not ingress.piece(('b', 5), 1, 2, 0.0)
    assert ingress.piece(('a', 5), 1, 2, 0.0)


def test_a_finished_transfer_is_known_by_its_word() -> None:
    ingress = Ingress()
    assert ingress.said(('a', 5)) is None
    ingress.finish(('a', 5), WORD)
    assert ingress.said(('a', 5)) is WORD
    assert ingress.said(('b', 5)) is None
    assert not ingress.piece(('a', 5), 0, 1, 0.0)


def test_the_memory_of_finished_transfers_is_bounded() -> None:
    ingress = Ingress()
    for number in range(REMEMBERED + 1):
        ingress.finish(('a', number), WORD)
    assert ingress.said(('a', 0)) is None
    assert ingress.said(('a', REMEMBERED)) is WORD


def test_no_sender_has_the_others_finished_transfers_forgotten() -> None:
    ingress = Ingress()
    ingress.finish(('b', 5), WORD)
    for number in range(2 * REMEMBERED):
        ingress.finish(('a', number), WORD)
    assert ingress.said(('b', 5)) is WORD


def test_there_is_room_for_so_many_incomplete_transfers_of_a_sender() -> None:
    ingress = Ingress()
    for number in range(MOST_INCOMPLETE):
        assert ingress.room(('a', number))
        ingress.piece(('a', number), 0, 3, 0.0)
    assert not ingress.room(('a', MOST_INCOMPLETE))
    assert ingress.room(('a', 0))
    assert ingress.room(('b', 0))
    ingress.piece(('a', 0), 0, 2, 0.0)  # of another count: begun anew, not one more
    ingress.piece(('a', 0), 1, 2, 0.0)
    assert ingress.room(('a', MOST_INCOMPLETE))
    ingress.given_up(PATIENCE_S + 1)
    assert all(ingress.room(('a', number)) for number in range(MOST_INCOMPLETE))


def test_pieces_that_come_no_more_are_given_up_once() -> None:
    ingress = Ingress()
    ingress.piece(('a', 5), 0, 3, 0.0)
    ingress.piece(('a', 6), 0, 3, 0.0)
    ingress.piece(('a', 6), 1, 3, 1.0)
    assert ingress.given_up(PATIENCE_S) == []
    assert ingress.given_up(PATIENCE_S + 0.5) == [('a', 5)]
    assert ingress.given_up(PATIENCE_S + 0.5) == []
    assert ingress.piece(('a', 6), 2, 3, PATIENCE_S + 0.5)
