# SPDX-License-Identifier: Apache-2.0
"""A watch that never barks proves nothing: each broken promise is shown to it once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pamdi_ros.fleet import PolicyParameters
from pamdi_ros.simulation.clock import Clock
from pamdi_ros.simulation.invariant_checker import InvariantChecker
from pamdi_ros.simulation.record import Run
from pamdi_ros.simulation.recorder import TraceRecorder
from pamdi_ros.simulation.setup import Setup
from pamdi_ros.worker import (
    DropReassembly,
    ItemKey,
    Partition,
    PublishResult,
    SendChunk,
    Status,
    Task,
)
from pamdi_ros.worker.items.record import Whereabouts
from pamdi_ros.worker.scheduling.unit_store import UnitStore
import pytest
from simulation.worlds import fleet_of, source_of, table_of

KEY = ItemKey('camera', 1, 1)


class Watched:
    """A recorder and a watch over two workers."""

    def __init__(self, policy: str = 'pa_mdi_plus', **parameters: Any) -> None:
        fleet = fleet_of({'a': {}, 'b': {}}, {'camera': source_of('a', 'm', 'critical', 1)})
        setup = Setup(
            fleet=fleet,
            tables={'m': table_of('m', [1.0], [1.0, 1.0])},
            policy=policy,
            parameters=PolicyParameters(**parameters),
        )
        self.run = Run(setup=setup)
        self.recorder = TraceRecorder(self.run, traced=False)
        self.clock = Clock()
        self.watch = InvariantChecker(setup, self.recorder, self.clock)


def machine(**state: Any) -> Any:
    """Return what a watch looks at of a machine."""
    known = {
        'queue_lengths': (0, 0, 0), 'retained_bytes': 0, 'waiting': 0, 'held': (), 'serving': True,
        'store': UnitStore(), 'whereabouts': dict, 'has_ended': lambda key: False,
    }  # fmt: skip
    return SimpleNamespace(**{**known, **state})


def frame(index: int, rank: int = 0) -> SendChunk:
    """Return one of two pieces."""
    task = Task(
        key=KEY, home='a', model='m', priority_class='critical', rank=rank, arrived_s=0.0,
        received_s=0.0, payload_bytes=2000,
    )  # fmt: skip
    return SendChunk('b', 7, task, index, 2, 1000)


def work(rank: int, test: bool = False) -> Any:
    """Return a work of some class."""
    task = frame(0, rank).task
    execution = SimpleNamespace(rank=rank, task=task, raw=False)
    return SimpleNamespace(execution=execution, task=task, test=test)


def test_nothing_of_a_withdrawn_model_is_begun_but_its_tests() -> None:
    watched = Watched()
    store = UnitStore()
    watched.watch.begun('a', machine(store=store), work(0))
    store.withdraw('m')
    watched.watch.begun('a', machine(store=store), work(0, test=True))
    assert watched.run.violations == []
    watched.watch.begun('a', machine(store=store), work(0))
    assert 'its model is withdrawn' in watched.run.violations[0]


def test_an_item_ends_once() -> None:
    watched = Watched()
    watched.recorder.accepted(KEY, 1.0)
    watched.recorder.ended(KEY, Status.RESULT, '', 0.5, 1.5)
    assert watched.run.violations == []
    watched.recorder.ended(KEY, Status.RESULT, '', 0.6, 1.6)
    assert 'is not open' in watched.run.violations[0]


def test_the_latency_told_is_the_true_one() -> None:
    watched = Watched()
    watched.recorder.accepted(KEY, 1.0)
    watched.recorder.ended(KEY, Status.RESULT, '', 0.4, 1.5)
    assert 'latency' in watched.run.violations[0]


def test_items_that_never_end_are_named() -> None:
    watched = Watched()
    watched.recorder.accepted(KEY, 1.0)
    watched.recorder.close()
    assert watched.run.unfinished == [KEY]


@pytest.mark.parametrize(
    ('rank', 'waiting', 'seen'), [(1, (1, 0, 0), 1), (0, (1, 0, 0), 0), (1, (0, 3, 0), 0)]
)
def test_lesser_work_is_not_begun_while_the_top_class_waits(
    rank: int, waiting: tuple[int, ...], seen: int
) -> None:
    watched = Watched()
    watched.watch.begun('a', machine(queue_lengths=waiting), work(rank))
    assert len(watched.run.violations) == seen


@pytest.mark.parametrize(
    'watched', [Watched('pa_mdi'), Watched(preemption=False)], ids=['pa_mdi', 'switched off']
)
def test_without_preemption_it_may(watched: Watched) -> None:
    watched.watch.begun('a', machine(queue_lengths=(1, 0, 0)), work(1))
    assert watched.run.violations == []


def test_a_transfer_is_complete_with_its_last_piece_and_only_once() -> None:
    watched = Watched()
    watched.watch.piece('b', 'a', frame(0), False)
    assert watched.watch.left({'b': machine()}) == ['b: pieces of 1 transfers are kept']
    watched.watch.piece('b', 'a', frame(1), True)
    watched.watch.piece('b', 'a', frame(1), False)
    assert (watched.run.violations, watched.watch.left({'b': machine()})) == ([], [])
    watched.watch.piece('b', 'a', frame(1), True)
    assert 'twice' in watched.run.violations[0]


def test_a_transfer_is_not_complete_before() -> None:
    watched = Watched()
    watched.watch.piece('b', 'a', frame(1), True)
    assert 'complete with [1]' in watched.run.violations[0]


def test_pieces_are_forgotten_when_asked_for_and_when_the_worker_dies() -> None:
    watched = Watched()
    watched.watch.piece('b', 'a', frame(0), False)
    watched.watch.forgotten('b', DropReassembly('a', 7))
    assert watched.watch.left({'b': machine()}) == []
    watched.watch.piece('b', 'a', frame(0), False)
    watched.watch.died('b')
    assert watched.watch.left({'b': machine()}) == []


@pytest.mark.parametrize('state', [{'retained_bytes': 101}, {'queue_lengths': (6, 0, 0)}])
def test_bounds_are_kept(state: dict[str, Any]) -> None:
    watched = Watched(retention_bytes=100)
    watched.watch.settled('a', machine(retained_bytes=100, queue_lengths=(3, 2, 0)))
    assert watched.run.violations == []
    watched.watch.settled('a', machine(**state))
    assert len(watched.run.violations) == 1


def test_what_is_left_is_told() -> None:
    left = Watched().watch.left({'a': machine(waiting=1), 'b': machine(retained_bytes=5)})
    assert left == ['a: 1 tasks wait or are on their way', 'b: 5 bytes are kept']


def test_urgent_pieces_are_timed_behind_lesser_ones() -> None:
    watched = Watched()
    watched.watch.sent('a', frame(0, rank=2), 0.0, 0.003)
    watched.watch.sent('a', frame(1, rank=0), 0.003, 0.004)
    watched.watch.sent('a', frame(1, rank=0), 0.004, 0.005)
    assert watched.run.worst_wire_wait_s == pytest.approx(0.003)


def test_a_queue_is_not_full_where_nobody_holds_what_it_waits_for() -> None:
    watched = Watched()
    end = PublishResult(frame(0).task, Status.REFUSED, 'queue_full: 2 waited at a', 1.0)
    held = (Partition('m', 0, 1),)
    watched.watch.settled('b', machine(held=held, serving=True))
    watched.watch.ended('a', end)
    watched.watch.died('b')  # nobody knows yet
    watched.watch.ended('a', end)
    watched.clock.run(1.0)
    watched.watch.ended('b', end)  # it tells what a has decided
    assert watched.run.violations == []
    watched.watch.ended('a', end)
    assert 'nobody has held unit 0' in watched.run.violations[0]


def at(*places: Whereabouts, has_ended: bool = False) -> Any:
    """Return a machine at which the item is in some places."""
    return machine(whereabouts=lambda: {KEY: places}, has_ended=lambda key: has_ended)


def test_a_task_is_in_one_place_and_not_where_its_item_has_ended() -> None:
    watched = Watched()
    watched.watch.lives('a', at(Whereabouts.WAITING))
    assert watched.run.violations == []
    watched.watch.lives('a', at(Whereabouts.WAITING, Whereabouts.PARKED))
    watched.watch.lives('b', at(Whereabouts.WAITING, has_ended=True))
    twice, ended = watched.run.violations
    assert 'is waiting and parked at once' in twice
    assert 'has ended' in ended


@pytest.mark.parametrize(
    ('before', 'after'),
    [
        ((), Whereabouts.RUNNING),
        ((Whereabouts.PARKED,), Whereabouts.RUNNING),
        ((Whereabouts.WAITING,), Whereabouts.SENT),
        ((Whereabouts.ANSWERING,), Whereabouts.SENT),
    ],
)
def test_a_task_goes_no_way_that_the_table_of_states_does_not_have(
    before: tuple[Whereabouts, ...], after: Whereabouts
) -> None:
    watched = Watched()
    for place in before:
        if place is Whereabouts.ANSWERING:
            watched.watch.lives('a', at(Whereabouts.WAITING))
        watched.watch.lives('a', at(place))
    assert watched.run.violations == []
    watched.watch.lives('a', at(after))
    (violation,) = watched.run.violations
    assert f'is {after.value}, was {before[-1].value if before else "absent"}' in violation


def test_a_restarted_worker_begins_its_tasks_lives_anew() -> None:
    watched = Watched()
    watched.watch.lives('a', at(Whereabouts.PARKED))
    watched.watch.died('a')
    watched.watch.lives('a', at(Whereabouts.SENDING))
    assert watched.run.violations == []
