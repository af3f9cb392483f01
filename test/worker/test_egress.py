# SPDX-License-Identifier: Apache-2.0
"""What leaves a worker: cut into chunks, in order, within credit, sent again where lost.

The link carries 10 MB/s and has 1 ms of latency: a chunk has 25 kB (2.5 ms), and the round trip
of 2 ms makes three of them the credit.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.fleet import Fleet, PolicyParameters
from pamdi_ros.worker import SendChunk
from pamdi_ros.worker.transfer.egress import Egress, Transfer
from pamdi_ros.worker.transfer.links import LinkEstimates
import pytest
from worker.cases import foreign, make_fleet

CHUNK = 25_000
FLEET = make_fleet()


def egress_of(fleet: Fleet = FLEET, **changes: object) -> Egress:
    parameters = PolicyParameters(**changes)  # type: ignore[arg-type]
    return Egress(LinkEstimates(fleet, 'a', parameters), parameters, 100)


def add(
    egress: Egress, size: int, order: float, peer: str = 'b', level: int = 0, now: float = 0.0
) -> Transfer:
    return egress.start(foreign(payload_bytes=size), peer, (order,), level, now)


def take(egress: Egress, now: float = 0.0) -> list[SendChunk]:
    taken = []
    while (frame := egress.next_chunk(now)) is not None:
        taken.append(frame)
    return taken


def test_a_large_task_goes_in_chunks_a_small_one_whole() -> None:
    egress = egress_of(most_credit=99)
    small, large = add(egress, CHUNK, 1), add(egress, 2 * CHUNK + 1, 2)
    assert (small.count, large.count) == (1, 3)
    assert [large.size(index) for index in range(3)] == [CHUNK, CHUNK, 1]


def test_without_chunks_everything_goes_whole() -> None:
    egress = egress_of(chunked_wire=False)
    assert add(egress, 10**7, 1).count == 1
    assert [frame.size for frame in take(egress)] == [10**7]


def test_no_more_chunks_are_under_way_than_credit_and_each_word_lets_one_go() -> None:
    egress = egress_of()
    transfer = add(egress, 8 * CHUNK, 1)
    assert [frame.index for frame in take(egress)] == [0, 1, 2]
    egress.credit_received('b', transfer.number, 0, 0.005)
    assert [frame.index for frame in take(egress, 0.005)] == [3]
    egress.credit_received('b', transfer.number, 0, 0.005)  # the same word again gives nothing
    egress.credit_received('c', transfer.number, 1, 0.005)  # nor does another worker's
    egress.credit_received('b', transfer.number, 99, 0.005)  # nor that on a piece that is none
    assert take(egress, 0.005) == []


def test_the_next_chunk_is_the_most_urgent_ones_not_the_first_comers() -> None:
    egress = egress_of()
    bulk = add(egress, 8 * CHUNK, 5.0)
    take(egress)
    urgent = add(egress, 2 * CHUNK, 1.0, now=0.001)
    assert take(egress, 0.001) == []  # of the same level: it waits for credit
    egress.credit_received('b', bulk.number, 0, 0.005)
    assert [frame.transfer for frame in take(egress, 0.005)] == [urgent.number]


def test_an_urgent_frame_is_behind_the_lesser_ones_credit_at_most() -> None:
    egress = egress_of()
    add(egress, 80 * CHUNK, 5.0, level=1)
    before = take(egress)
    urgent = add(egress, 2 * CHUNK, 1.0, level=0, now=0.001)
    assert len(before) == 3
    assert [frame.transfer for frame in take(egress, 0.001)] == [urgent.number] * 2


def test_a_lesser_frame_does_not_go_while_urgent_chunks_use_up_the_credit() -> None:
    egress = egress_of()
    add(egress, 3 * CHUNK, 1.0, level=0)
    take(egress)
    add(egress, 3 * CHUNK, 5.0, level=1)
    assert take(egress, 0.001) == []


def test_a_packet_or_two_is_never_held_back() -> None:
    egress = egress_of()
    add(egress, 80 * CHUNK, 1.0)
    take(egress)
    word = add(egress, 1000, 9.0, level=3)
    assert [frame.transfer for frame in take(egress)] == [word.number]


def test_the_interface_is_shared_so_are_the_credits_of_all_peers() -> None:
    egress = egress_of()
    add(egress, 8 * CHUNK, 1.0, 'b')
    add(egress, 8 * CHUNK, 2.0, 'c')
    assert [frame.worker for frame in take(egress)] == ['b', 'b', 'b']


def test_a_dead_peer_does_not_hold_up_the_others() -> None:
    egress = egress_of()
    add(egress, 8 * CHUNK, 1.0, 'b')
    take(egress)
    other = add(egress, 2 * CHUNK, 2.0, 'c', now=0.001)
    # 75 kB and the round trip take 9.5 ms; b is taken for stuck after four times that
    assert take(egress, 0.030) == []
    assert [frame.transfer for frame in take(egress, 0.040)] == [other.number] * 2


def test_what_is_lost_is_sent_again_and_nothing_else() -> None:
    egress = egress_of()
    transfer = add(egress, 3 * CHUNK, 1.0)
    take(egress)
    egress.credit_received('b', transfer.number, 0, 0.004)
    egress.credit_received('b', transfer.number, 2, 0.009)
    assert egress.stalled(0.2) == []
    assert egress.stalled(0.3) == [transfer]
    egress.retransmit(transfer, 0.3)
    assert [frame.index for frame in take(egress, 0.3)] == [1]
    assert egress.stalled(0.3) == []


def test_where_all_credit_was_lost_the_transfer_goes_on() -> None:
    egress = egress_of()
    transfer = add(egress, 8 * CHUNK, 1.0)
    assert len(take(egress)) == 3
    assert egress.stalled(0.3) == [transfer]
    egress.retransmit(transfer, 0.3)
    assert [frame.index for frame in take(egress, 0.3)] == [0, 1, 2]


def test_a_transfer_of_which_all_came_but_the_word_on_it_asks_with_its_first_piece() -> None:
    egress = egress_of()
    transfer = add(egress, 2 * CHUNK, 1.0)
    take(egress)
    for index in (0, 1):
        egress.credit_received('b', transfer.number, index, 0.005)
    assert egress.stalled(0.3) == [transfer]
    egress.retransmit(transfer, 0.3)
    assert [frame.index for frame in take(egress, 0.3)] == [0]


def test_what_only_waits_for_its_turn_is_not_stalled() -> None:
    egress = egress_of()
    add(egress, 80 * CHUNK, 1.0)
    waiting = add(egress, 8 * CHUNK, 2.0)
    take(egress)
    assert waiting not in egress.stalled(9.0)


def test_a_slow_link_is_given_the_time_that_it_takes() -> None:
    slow = make_fleet(links={'default': {'bandwidth_mbps': 0.8, 'latency_ms': 1}})  # 100 kB/s
    egress = egress_of(slow, chunked_wire=False)
    add(egress, 100_000, 1.0)  # 1 s
    take(egress)
    assert egress.stalled(1.5) == []
    assert len(egress.stalled(2.5)) == 1


def test_attempts_are_counted_and_a_piece_that_comes_starts_the_count_anew() -> None:
    egress = egress_of()
    transfer = add(egress, 2 * CHUNK, 1.0)
    take(egress)
    egress.retransmit(transfer, 0.3)
    egress.retransmit(transfer, 0.6)
    assert transfer.attempts == 3
    egress.credit_received('b', transfer.number, 0, 0.7)
    assert transfer.attempts == 1


def test_an_acknowledged_transfer_is_over_and_its_credit_free() -> None:
    egress = egress_of()
    transfer = add(egress, 3 * CHUNK, 1.0)
    other = add(egress, 3 * CHUNK, 2.0)
    take(egress)
    assert egress.ack_received('c', transfer.number, 0.0, 0.01) is None  # not the receiver
    assert egress.ack_received('b', transfer.number, 0.0, 0.01) is transfer
    assert egress.ack_received('b', transfer.number, 0.0, 0.02) is None
    assert list(egress) == [other]
    assert len(take(egress, 0.02)) == 3


def test_a_transfer_given_up_halfway_leaves_nothing_behind() -> None:
    egress = egress_of()
    egress.cancel(add(egress, 8 * CHUNK, 1.0))
    half = add(egress, 8 * CHUNK, 1.0)
    take(egress)
    egress.cancel(half)
    egress.cancel(half)
    assert (len(egress), egress.ahead_s((9.0,)), egress.behind((0.0,))) == (0, 0.0, [])
    assert take(egress) == []
    egress.credit_received('b', half.number, 0, 0.1)


def test_what_is_ahead_and_behind_is_told_by_order() -> None:
    egress = egress_of()
    first, last = add(egress, 40_000, 1.0), add(egress, 60_000, 3.0)
    assert egress.ahead_s((0.5,)) == 0.0
    assert egress.ahead_s((2.0,)) == pytest.approx(0.004)
    assert egress.ahead_s((4.0,)) == pytest.approx(0.010)
    assert egress.behind((2.0,)) == [last]
    assert egress.behind((0.5,)) == [first, last]


def test_a_new_order_counts_from_the_next_chunk() -> None:
    egress = egress_of()
    first, second = add(egress, 8 * CHUNK, 1.0), add(egress, 8 * CHUNK, 2.0)
    egress.next_chunk(0.0)
    egress.reorder(lambda transfer: ((-transfer.order[0],), 0))
    assert [frame.transfer for frame in take(egress)] == [second.number] * 2
    assert first.waiting


SIZES = st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 2)), min_size=1, max_size=6)


@given(SIZES, st.randoms(use_true_random=False), st.sampled_from([0.0, 0.3]))
def test_every_byte_arrives_though_pieces_and_words_are_lost(
    sizes: list[tuple[int, int]], random: object, loss: float
) -> None:
    egress = egress_of()
    transfers = {}
    for number, (size, level) in enumerate(sizes):
        transfer = add(egress, size, float(number), level=level)
        transfers[transfer.number] = transfer
    came: dict[int, set[int]] = {number: set() for number in transfers}
    now = 0.0
    for _ in range(2000):
        for frame in take(egress, now):
            if random.random() < loss:  # type: ignore[attr-defined]
                continue
            came[frame.transfer].add(frame.index)
            if random.random() >= loss:  # type: ignore[attr-defined]
                egress.credit_received('b', frame.transfer, frame.index, now)
            if len(came[frame.transfer]) == frame.count:
                egress.ack_received('b', frame.transfer, 0.0, now)
        now += 0.05
        for transfer in egress.stalled(now):
            egress.retransmit(transfer, now)
        if not len(egress):
            break
    assert len(egress) == 0
    for number, transfer in transfers.items():
        assert sum(transfer.size(i) for i in came[number]) == transfer.task.payload_bytes


def test_a_peer_with_a_longer_round_trip_does_not_keep_the_interface_for_itself() -> None:
    near = {'between': ['a', 'b'], 'bandwidth_mbps': 100, 'latency_ms': 0.5}
    far = {'between': ['a', 'c'], 'bandwidth_mbps': 100, 'latency_ms': 50}
    egress = egress_of(make_fleet(links={'pairs': [near, far]}))
    bulk = add(egress, 10_000_000, 5.0, peer='c')
    under_way = take(egress)
    assert len(under_way) > 8
    urgent = add(egress, 100_000, 1.0, peer='b', now=0.001)  # of the same class, but first
    while not any(frame.transfer == urgent.number for frame in under_way):
        frame = under_way.pop(0)  # there is an end to what was given before
        egress.credit_received('c', bulk.number, frame.index, 0.1)
        new = take(egress, 0.1)
        assert all(frame.transfer == urgent.number for frame in new)
        under_way += new


def test_a_peer_whose_word_is_overdue_holds_up_nobody_else() -> None:
    egress = egress_of()
    add(egress, 8 * CHUNK, 1.0, peer='b')
    assert len(take(egress)) == 3
    other = add(egress, 8 * CHUNK, 5.0, peer='c')
    assert take(egress, 0.002) == []
    assert [frame.transfer for frame in take(egress, 1.0)] == [other.number] * 3


def test_pieces_that_all_came_and_were_thrown_away_are_all_sent_again() -> None:
    egress = egress_of(retransmit_s=0.25)
    transfer = add(egress, 3 * CHUNK, 1.0)
    now, sent = 0.0, []
    for _ in range(3):
        frames = take(egress, now)
        sent.append([frame.index for frame in frames])
        for frame in frames:
            egress.credit_received('b', transfer.number, frame.index, now + 0.01)
        now += 1.0
        assert egress.stalled(now) == [transfer]
        egress.retransmit(transfer, now)
    assert sent == [[0, 1, 2], [0], [0, 1, 2]]
