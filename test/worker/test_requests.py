# SPDX-License-Identifier: Apache-2.0
"""Questions to peers: complete with the last answer, or when their time is up."""

from __future__ import annotations

import math

from pamdi_ros.worker import Clearance, Request
from pamdi_ros.worker.routing.requests import PendingRequest, PendingRequests
from worker.cases import foreign


def ask(asks: PendingRequests, *peers: str, seq: int = 1, until_s: float = 1.0) -> int:
    number = asks.number()
    task = foreign(seq=seq)
    asking = PendingRequest(
        number=number, task=task, execution=None, unit=1, moving=False, until_s=until_s,
        open=set(peers),
    )  # fmt: skip
    request = Request(number, task.key, 'net', 0, 1, 10, 0.0)
    tells = asks.ask(asking, request)
    assert [(tell.worker, tell.items) for tell in tells] == [(p, (request,)) for p in peers]
    return number


def test_a_question_is_concluded_by_the_last_answer() -> None:
    asks = PendingRequests(50)
    number = ask(asks, 'b', 'c')
    assert asks.answered('b', Clearance(number, True)) is None
    assert asks.answered('b', Clearance(number, True)) is None  # a copy is no second answer
    asking = asks.answered('c', Clearance(number, False, 'not_held: x'))
    assert asking is not None
    assert {peer: answer.granted for peer, answer in asking.answers.items()} == {
        'b': True,
        'c': False,
    }
    assert len(asks) == 0


def test_a_peer_that_was_not_asked_cannot_answer() -> None:
    asks = PendingRequests(50)
    number = ask(asks, 'b')
    assert asks.answered('c', Clearance(number, True)) is None
    assert asks.answered('b', Clearance(number + 1, True)) is None
    assert len(asks) == 1


def test_a_question_whose_time_is_up_is_concluded_with_what_came_and_then_closed() -> None:
    asks = PendingRequests(50)
    number = ask(asks, 'b', 'c', until_s=1.0)
    ask(asks, 'b', seq=2, until_s=2.0)
    asks.answered('b', Clearance(number, True))
    assert asks.next_due_s() == 1.0
    assert asks.due(0.99) == []
    (asking,) = asks.due(1.0)
    assert set(asking.answers) == {'b'}
    assert asks.answered('c', Clearance(number, True)) is None
    assert asks.next_due_s() == 2.0


def test_questions_are_known_and_forgotten_by_their_item() -> None:
    asks = PendingRequests(50)
    ask(asks, 'b', seq=1)
    ask(asks, 'b', seq=2)
    assert asks.about(foreign(seq=1).key)
    asks.cancel(foreign(seq=1).key)
    assert not asks.about(foreign(seq=1).key)
    assert asks.about(foreign(seq=2).key)
    assert len(asks) == 1


def test_no_question_is_never_due() -> None:
    assert PendingRequests(50).next_due_s() == math.inf
