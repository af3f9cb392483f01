# SPDX-License-Identifier: Apache-2.0
"""What a foreign sender, or a confused peer, can do to a worker: little, and it is counted."""

from __future__ import annotations

from dataclasses import replace

from pamdi_ros.worker import (
    Ack,
    Clearance,
    Hop,
    ItemKey,
    Release,
    Request,
    SendChunk,
    Status,
    Task,
    WorkerMachine,
)
from pamdi_ros.worker.scheduling.backlog import MOST_REQUESTS, PAUSE_S
from pamdi_ros.worker.transfer.ingress import MOST_INCOMPLETE
import pytest
from worker.cases import (
    acks,
    clearances,
    compute_all,
    ends,
    foreign,
    frames,
    free_plan,
    heartbeat,
    item,
    make_fleet,
    make_plan,
    releases,
    run,
    SIZE,
    started,
)

FLEET = make_fleet()
#: a's camera goes over b and c, without an execution at home; no worker could do it alone.
CHAIN = make_plan(1, (('b', 0, 2), ('c', 2, 4)), (('b', 0, 2), ('c', 2, 4)), 'static_chain')
STRANGER = 'c'


def home_that_sent() -> tuple[WorkerMachine, SendChunk]:
    """Return home a, which has handed a camera item to b."""
    home = started('a', FLEET, free_plan())
    home.holding((), 0.0)
    home.heartbeat_heard(heartbeat('b'), 0.0)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (frame,) = frames(home, 0.0)
    assert frame.worker == 'b'
    return home, frame


def answer(frame: SendChunk, *hops: Hop) -> Task:
    """Return the answer to what was handed on."""
    return replace(frame.task, next_unit=4, hops=(*frame.task.hops, *hops))


def word(frame: SendChunk, reason: str = 'compute_error: x') -> Task:
    """Return the word that there is no answer."""
    return replace(frame.task, status=Status.FAILED, reason=reason, payload=None, payload_bytes=0)


# --- only the home releases an item -------------------------------------------------------------


@pytest.mark.parametrize('sender', ['c', 'b'])
def test_nobody_but_the_home_releases_an_item(sender: str) -> None:
    worker = started('b', FLEET, free_plan())
    worker.task_received(foreign(), 'a', 5, 0.0)
    worker.control_received(sender, [Release(foreign().key)], 0.1)
    assert worker.drops == {'not_home': 1}
    assert worker.refused == {sender: 1}
    (complaint,) = worker.take_complaints()
    assert complaint.startswith(f'not_home: {sender} releases an item of camera of a')
    assert run(worker, 0.1).task.key == foreign().key
    worker.control_received('a', [Release(foreign().key)], 0.2)
    assert worker.drops == {'not_home': 1}
    assert compute_all(worker, 0.2) == []


def test_a_worker_that_is_not_the_home_releases_nothing() -> None:
    relay = started('b', FLEET, CHAIN)
    relay.heartbeat_heard(heartbeat('c'), 0.0)
    relay.task_received(foreign(next_unit=0), 'a', 5, 0.0)
    compute_all(relay, 0.0)
    frames(relay, 0.0)
    told = relay.control_received('a', [Release(foreign().key)], 0.1)
    told += relay.task_received(foreign(next_unit=0), 'c', 6, 0.2) + relay.tick(0.3)
    assert releases(told) == []
    assert acks(told)[0][1].accepted


# --- an answer begins with a hand-over that the home made ---------------------------------------


@pytest.mark.parametrize(
    'hops',
    [
        (),  # the sender is all that is known
        (Hop(STRANGER, 0, 4),),
        (Hop('a', 0, 0), Hop(STRANGER, 0, 4)),
        (Hop(STRANGER, 0, 2), Hop('b', 2, 4)),
        (Hop('x' * 1000, 0, 4),),
    ],
)
@pytest.mark.parametrize('kind', ['answer', 'word', 'worker_lost', 'boundary', 'nonsense'])
def test_what_begins_with_no_hand_over_is_refused_and_the_item_stays_open(
    hops: tuple[Hop, ...], kind: str
) -> None:
    home, frame = home_that_sent()
    forged = {
        'answer': answer(frame),
        'word': word(frame),
        'worker_lost': word(frame, 'worker_lost: b'),
        'boundary': replace(frame.task, next_unit=1),
        'nonsense': replace(frame.task, model='other'),
    }[kind]
    commands = home.task_received(replace(forged, hops=hops), STRANGER, 5, 0.1)
    ((peer, told),) = acks(commands)
    assert (peer, told.accepted) == (STRANGER, False)
    first = hops[-1].worker if len(hops) == 1 else STRANGER
    assert told.reason.startswith(f"foreign_answer: c sends camera item 1 by way of '{first[:9]}")
    assert len(told.reason) < 200
    assert ends(commands) == []
    assert home.drops == {'foreign_answer': 1}
    assert home.refused == {STRANGER: 1}
    assert home.ledger.in_flight('camera') == 1
    assert home.ledger.generation(frame.task.key) == 0  # nor was it begun again
    assert home.waiting == 1  # nothing is here but what goes to b
    (end,) = ends(home.task_received(answer(frame, Hop('b', 0, 4)), 'b', 6, 0.2))
    assert end.status is Status.RESULT


def test_an_answer_from_itself_is_foreign() -> None:
    home, frame = home_that_sent()
    assert ends(home.task_received(answer(frame), 'a', 5, 0.1)) == []
    assert home.drops == {'foreign_answer': 1}


def test_a_refused_answer_does_not_take_the_number_of_the_true_transfer() -> None:
    home, frame = home_that_sent()
    home.task_received(answer(frame, Hop(STRANGER, 0, 4)), 'b', 77, 0.1)
    assert home.drops == {'foreign_answer': 1}
    (end,) = ends(home.task_received(answer(frame, Hop('b', 0, 4)), 'b', 77, 0.2))
    assert end.status is Status.RESULT


def test_another_items_transfer_of_the_same_number_is_none_that_was_here() -> None:
    home, frame = home_that_sent()
    old = replace(answer(frame), key=frame.task.key._replace(seq=9))
    ((_, told),) = acks(home.task_received(old, 'b', 77, 0.1))
    assert told.accepted  # it is known to have ended
    (end,) = ends(home.task_received(answer(frame, Hop('b', 0, 4)), 'b', 77, 0.2))
    assert end.status is Status.RESULT


def test_an_answer_after_the_end_is_late_and_not_foreign() -> None:
    home, frame = home_that_sent()
    home.task_received(answer(frame, Hop('b', 0, 4)), 'b', 5, 0.1)
    home.task_received(answer(frame, Hop(STRANGER, 0, 4)), STRANGER, 6, 0.2)
    assert home.drops == {'late_answer': 1}
    assert home.refused == {}


def test_an_answer_relayed_over_several_workers_is_taken() -> None:
    home, frame = home_that_sent()
    relayed = answer(frame, Hop('b', 0, 2), Hop('c', 2, 4))
    (end,) = ends(home.task_received(relayed, 'c', 5, 0.1))
    assert end.status is Status.RESULT


def test_a_worker_that_only_passes_an_item_on_is_named_even_where_nothing_was_sent() -> None:
    """A payload may be empty; who took it from its home must be told all the same."""
    relay, last = started('b', FLEET, CHAIN), started('c', FLEET, CHAIN)
    relay.heartbeat_heard(heartbeat('c'), 0.0)
    home = started('a', FLEET, CHAIN)
    home.item_arrived(item(home, 'camera', 0.0, payload_bytes=0), 0.0)
    (frame,) = frames(home, 0.0)
    relay.holding((), 0.0)
    task = replace(frame.task, next_unit=2, received_bytes=0)  # b has nothing to do with unit 2
    relay.task_received(task, 'a', frame.transfer, 0.0)
    (onward,) = frames(relay, 0.0)
    assert [hop.worker for hop in onward.task.hops] == ['b']
    last.heartbeat_heard(heartbeat('a', incarnation=7), 0.0)
    last.task_received(replace(onward.task, received_bytes=0), 'b', onward.transfer, 0.0)
    compute_all(last, 0.0)
    (back,) = frames(last, 0.0)
    (end,) = ends(home.task_received(back.task, 'c', back.transfer, 0.1))
    assert end.status is Status.RESULT
    assert home.refused == {}


def test_a_copy_of_every_generation_may_answer() -> None:
    home, first = home_that_sent()
    home.heartbeat_heard(heartbeat('c'), 0.0)
    home.peer_lost('b', 0.01)  # it lives
    (second,) = frames(home, 0.01)
    assert (second.worker, second.task.generation) == ('c', 1)
    (end,) = ends(home.task_received(answer(first, Hop('b', 0, 4)), 'b', 5, 0.02))
    assert end.status is Status.RESULT


def test_what_the_home_remembers_of_hand_overs_goes_with_the_item() -> None:
    home, frame = home_that_sent()
    assert home.ledger.takers(frame.task.key) == {'b'}
    home.task_received(answer(frame), 'b', 5, 0.1)
    assert home.ledger.takers(frame.task.key) == frozenset()
    home.ledger.handed(frame.task.key, 'c')  # it is not open any more
    assert home.ledger.takers(frame.task.key) == frozenset()


def test_a_stay_that_no_worker_had_is_objected_to_and_counted_with_its_sender() -> None:
    worker = started('b', FLEET, free_plan())
    for number, hops in enumerate(((Hop('nobody', 0, 1),), (Hop('a', 0, 9),))):
        worker.task_received(foreign(seq=1 + number, hops=hops), 'c', number, 0.0)
    assert worker.drops == {'unknown_worker': 1, 'unknown_unit': 1}
    assert worker.refused == {'c': 2}
    assert worker.next_compute(0.0) == (None, [])


# --- requests and pieces are bounded for each sender --------------------------------------------


def request(number: int, size: int = SIZE) -> Request:
    """Return a request for one of many items."""
    return Request(number, ItemKey('camera', 7, number), 'net', 0, 0, size, 0.1)


def test_a_sender_has_so_many_reservations_and_the_others_have_theirs() -> None:
    worker = started('b', FLEET, free_plan())
    flood = [request(number) for number in range(1, 3 * MOST_REQUESTS)]
    told = clearances(worker.control_received('c', flood, 0.0))
    assert [one.granted for one in told].count(True) == MOST_REQUESTS
    assert {one.reason.split(':')[0] for one in told[MOST_REQUESTS:]} == {'too_many_requests'}
    assert worker.drops == {'too_many_requests': 2 * MOST_REQUESTS - 1}
    assert worker.refused == {'c': 2 * MOST_REQUESTS - 1}
    (other,) = clearances(worker.control_received('a', [request(9999)], 0.0))
    assert other.granted


def test_reservations_make_room_when_they_are_declined_used_or_over() -> None:
    worker = started('b', FLEET, free_plan())
    flood = [request(number) for number in range(1, MOST_REQUESTS + 1)]
    worker.control_received('c', flood, 0.0)

    def granted(number: int, now: float) -> bool:
        (told,) = clearances(worker.control_received('c', [request(number)], now))
        return told.granted

    assert not granted(1001, 0.0)
    worker.control_received('c', [Clearance(1, False, 'declined: the task goes elsewhere')], 0.0)
    assert granted(1002, 0.0)
    assert not granted(1003, 0.0)
    worker.task_received(foreign(key=ItemKey('camera', 7, 2), next_unit=0), 'a', 5, 0.0)
    assert granted(1004, 0.0)
    assert not granted(1005, 0.0)
    worker.tick(1.0)  # all others were left unused
    assert not granted(1006, 1.0)
    assert granted(1007, 1.0 + PAUSE_S)


def test_a_size_made_up_makes_no_reservation_last_longer() -> None:
    worker = started('b', FLEET, free_plan())
    honest, made_up = clearances(
        worker.control_received('c', [request(1), request(2, size=2**40)], 0.0)
    )
    assert made_up.expires_s == honest.expires_s


def test_a_sender_has_so_many_incomplete_transfers_and_the_others_have_theirs() -> None:
    worker = started('b', FLEET, free_plan())
    for number in range(MOST_INCOMPLETE + 10):
        worker.chunk_received('c', number, 0, 2, 0.0)
    assert worker.drops == {'no_room': 10}
    assert worker.refused == {'c': 10}
    assert worker.chunk_received('c', 1, 1, 2, 0.1)[0]  # what has begun may end
    worker.chunk_received('a', 1, 0, 2, 0.1)
    assert worker.chunk_received('a', 1, 1, 2, 0.1)[0]
    worker.tick(9.0)
    worker.chunk_received('c', 500, 0, 2, 9.0)
    assert worker.chunk_received('c', 500, 1, 2, 9.0)[0]


# --- who is counted -----------------------------------------------------------------------------


def test_senders_that_are_no_workers_are_counted_as_one() -> None:
    home = started('a', FLEET, free_plan())
    for number in range(50):
        home.rejected('bad_message: x', f'intruder {number}')
    home.rejected('bad_message: x', 'b')
    home.rejected('cannot_send: x')  # its own
    assert home.refused == {'unknown': 50, 'b': 1}
    assert home.drops == {'bad_message': 51, 'cannot_send': 1}
    assert home.take_complaints()[-2:] == ['bad_message: x (sent as b)', 'cannot_send: x']


def test_a_complaint_quotes_no_more_than_some_lines() -> None:
    home = started('a', FLEET, free_plan())
    home.rejected('bad_message: ' + 10_000 * 'x', 'b')
    (complaint,) = home.take_complaints()
    assert len(complaint) < 600
    assert complaint.endswith('(sent as b)')


@pytest.mark.parametrize(
    'task',
    [
        foreign(key=ItemKey('radar', 7, 1)),
        foreign(home='c'),
        foreign(next_unit=4),  # an answer that is another's
        foreign(passes_left=0),
    ],
)
def test_each_refused_task_is_counted_with_its_sender(task: Task) -> None:
    worker = started('b', FLEET, free_plan())
    worker.task_received(task, 'c', 5, 0.0)
    assert worker.refused == {'c': 1}
    (complaint,) = worker.take_complaints()
    assert complaint.endswith('(sent as c)')


def test_what_is_late_double_or_refused_for_its_time_is_no_fault_of_its_sender() -> None:
    worker = started('b', FLEET, free_plan())
    worker.task_received(foreign(), 'a', 5, 0.0)
    worker.task_received(foreign(), 'c', 6, 0.0)
    worker.control_received('a', [Release(foreign().key)], 0.0)
    worker.task_received(foreign(), 'c', 7, 0.0)
    worker.closed(0.1)
    worker.task_received(foreign(seq=2), 'a', 8, 0.1)
    worker.control_received('a', [Ack(1234, foreign().key, 0, 1, True)], 0.1)
    assert worker.refused == {}
