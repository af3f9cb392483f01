# SPDX-License-Identifier: Apache-2.0
"""Moves are made in an order that leaves every unit a holder, wherever there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
import heapq
import random

from pamdi_ros.allocation.memory import MemoryNeed
from pamdi_ros.allocation.replanning.move_sequence import (
    HeldUnits,
    is_served,
    load_bytes,
    move_sequence,
    MoveSequence,
    outages_s,
)
from pamdi_ros.assignment import Partition, partitions_of, Unit, units_of
from pamdi_ros.models.units import UnitTable
from simulation.worlds import table_of
from sweep import seeds

MB = 10**6


@dataclass(frozen=True, kw_only=True)
class Case:
    """Two placements, and what they must fit into."""

    held: HeldUnits
    wanted: HeldUnits
    tables: Mapping[str, UnitTable]
    memory_bytes: Mapping[str, float]

    def sequence(self, urgency: Sequence[str]) -> MoveSequence:
        return move_sequence(self.held, self.wanted, self.tables, self.memory_bytes, urgency)


def table(model: str, megabytes: Sequence[float]) -> UnitTable:
    """Return a table whose units have so many weights each."""
    made = table_of(model, [0.5] * len(megabytes), [1.0] * (len(megabytes) + 1))
    units = tuple(
        replace(unit, weights=((unit.name, int(size * MB)),), activation_bytes=0)
        for unit, size in zip(made.units, megabytes, strict=True)
    )
    return replace(made, units=units)


def size_of(tables: Mapping[str, UnitTable], units: frozenset[Unit] | set[Unit]) -> int:
    need = MemoryNeed(tables)
    for model, unit in units:
        need.add(model, unit)
    return need.total_bytes


def random_case(seed: int) -> Case:
    """Return two random placements of two or three workers that have hardly enough memory."""
    rng = random.Random(f'move {seed}')
    names = [f'w{number}' for number in range(rng.choice((2, 3, 3, 4)))]
    models = rng.choice((['a'], ['a', 'b'], ['a', 'b']))
    units = rng.choice((1, 2, 3)) * (3 - len(models))  # six blocks in all at most
    tables = {
        model: table(model, [rng.choice((1, 2, 3)) for _ in range(units)]) for model in models
    }
    every = [(model, unit) for model in models for unit in range(units)]

    def placement() -> dict[str, frozenset[Unit]]:
        placed: dict[str, set[Unit]] = {name: set() for name in names}
        for unit in every:
            for name in rng.sample(names, rng.choice((1, 1, 1, 2))):
                placed[name].add(unit)
        return {name: frozenset(units) for name, units in placed.items()}

    held, wanted = placement(), placement()
    memory = {
        name: max(MB, size_of(tables, held[name]), size_of(tables, wanted[name]))
        + rng.choice((0, 0, 0, 1)) * MB
        for name in names
    }
    return Case(held=held, wanted=wanted, tables=tables, memory_bytes=memory)


def an_order_exists(case: Case, kept: Sequence[str]) -> bool:
    """Search all states that can be reached with a holder of each unit of the models kept."""
    names = sorted(case.held)
    units = sorted({u for held in (*case.held.values(), *case.wanted.values()) for u in held})
    sizes: dict[int, int] = {}

    def mask(held: frozenset[Unit]) -> int:
        return sum(1 << at for at, unit in enumerate(units) if unit in held)

    def fits(worker: int, held: int) -> bool:
        if held not in sizes:
            chosen = {unit for at, unit in enumerate(units) if held >> at & 1}
            sizes[held] = size_of(case.tables, chosen)
        return sizes[held] <= case.memory_bytes[names[worker]]

    goal = tuple(mask(case.wanted[name]) for name in names)
    must = mask(frozenset(unit for unit in units if unit[0] in kept))
    start = tuple(mask(case.held[name]) for name in names)

    def missing(state: tuple[int, ...]) -> int:
        return sum((g & ~s).bit_count() for g, s in zip(goal, state, strict=True))

    seen, heap = {start}, [(missing(start), start)]
    while heap:
        left, state = heapq.heappop(heap)
        if not left:
            return True  # the rest can be let go
        for worker, held in enumerate(state):
            elsewhere = 0
            for other, others in enumerate(state):
                elsewhere |= others if other != worker else 0
            for at in range(len(units)):
                one = 1 << at
                last = held & one and must & one and not elsewhere & one
                if last or (not held & one and not fits(worker, held | one)):
                    continue
                after = (*state[:worker], held ^ one, *state[worker + 1 :])
                if after not in seen:
                    seen.add(after)
                    heapq.heappush(heap, (missing(after), after))
    return False


def check(case: Case, sequence: MoveSequence, urgency: Sequence[str]) -> None:
    """Follow a sequence: memory is kept, so is what it says, and it ends where it should."""
    state = {name: set(units) for name, units in case.held.items()}
    for step in sequence.steps:
        assert len({move.worker for move in step}) == len(step)
        for move in step:
            assert move.release <= state[move.worker] and not move.add & state[move.worker]
            state[move.worker] -= move.release
        for model in urgency:
            if model not in sequence.interrupted:
                assert is_served(model, case.tables[model], state.values()), (model, step)
        for move in step:
            state[move.worker] |= move.add
            size = size_of(case.tables, state[move.worker])
            assert size <= case.memory_bytes[move.worker], move
    assert {name: frozenset(units) for name, units in state.items()} == dict(case.wanted)


def test_wherever_there_is_an_order_nothing_is_interrupted() -> None:
    """All pairs of placements that are drawn: two to four workers, six blocks at most."""
    impossible = 0
    for seed in seeds(400):
        case = random_case(seed)
        models = sorted(case.tables)
        sequence = case.sequence(models)
        check(case, sequence, models)
        if sequence.interrupted:
            assert not an_order_exists(case, models), f'seed {seed}'
            impossible += 1
        if models[0] in sequence.interrupted:
            assert not an_order_exists(case, models[:1]), f'seed {seed}'
    assert impossible, 'no case was without an order: nothing was shown'


def test_what_two_placements_share_is_neither_let_go_nor_read_again() -> None:
    case = Case(
        held={
            'one': units_of([Partition('net', 0, 6)]),
            'two': units_of([Partition('net', 6, 9)]),
        },
        wanted={'one': units_of([Partition('net', 0, 9)]), 'two': frozenset()},
        tables={'net': table('net', [1] * 9)},
        memory_bytes={'one': 9 * MB, 'two': 9 * MB},
    )
    moves = [move for step in case.sequence(['net']).steps for move in step]
    assert [(move.worker, len(move.release), len(move.add)) for move in moves] == [
        ('one', 0, 3),
        ('two', 3, 0),
    ]


def test_two_full_workers_change_places_over_a_third_one_for_a_while() -> None:
    """Neither has room for the other's part, and the third one is to hold nothing in the end."""
    first, second = units_of([Partition('net', 0, 1)]), units_of([Partition('net', 1, 2)])
    case = Case(
        held={'one': first, 'two': second, 'three': frozenset()},
        wanted={'one': second, 'two': first, 'three': frozenset()},
        tables={'net': table('net', [2, 2])},
        memory_bytes={'one': 2 * MB, 'two': 2 * MB, 'three': 2 * MB},
    )
    sequence = case.sequence(['net'])
    check(case, sequence, ['net'])
    assert not sequence.interrupted
    assert any(move.worker == 'three' and move.add for step in sequence.steps for move in step)


def test_where_one_must_be_interrupted_it_is_the_least_urgent_and_for_its_loads_only() -> None:
    """Two full workers change models; nobody has room for both."""
    left, right = units_of([Partition('left', 0, 2)]), units_of([Partition('right', 0, 2)])
    case = Case(
        held={'one': left, 'two': right},
        wanted={'one': right, 'two': left},
        tables={name: table(name, [2, 2]) for name in ('left', 'right')},
        memory_bytes={'one': 4 * MB, 'two': 4 * MB},
    )
    for urgency in (['left', 'right'], ['right', 'left']):
        sequence = case.sequence(urgency)
        check(case, sequence, urgency)
        assert set(sequence.interrupted) == {urgency[1]}
        lasts = outages_s(sequence, case.held, case.tables, lambda worker, size: size / MB)
        assert lasts[urgency[1]] <= 8.0  # both loads at most, at 1 MB/s


def test_a_worker_that_joins_loads_while_the_others_serve() -> None:
    held = units_of([Partition('net', 0, 4)])
    case = Case(
        held={'one': held, 'new': frozenset(), 'newer': frozenset()},
        wanted={'one': held, 'new': held, 'newer': held},
        tables={'net': table('net', [1] * 4)},
        memory_bytes=dict.fromkeys(('one', 'new', 'newer'), 4 * MB),
    )
    (step,) = case.sequence(['net']).steps
    assert {move.worker for move in step} == {'new', 'newer'}


def test_what_waits_for_an_absent_holder_is_kept_only_where_there_is_room() -> None:
    """Nobody who is there is to hold `b` in the end, and `a` has to move in."""
    case = Case(
        held={'x': frozenset({('a', 0), ('b', 0)}), 'y': frozenset({('a', 1), ('b', 1)})},
        wanted={'x': frozenset({('a', 0), ('a', 1)}), 'y': frozenset({('a', 1)})},
        tables={'a': table('a', [1, 1]), 'b': table('b', [1, 1])},
        memory_bytes={'x': 3 * MB + 10, 'y': 2 * MB + 10},
    )
    assert not case.sequence(['a', 'b']).interrupted
    tight = replace(case, memory_bytes={'x': 2 * MB + 10, 'y': 2 * MB + 10})
    sequence = tight.sequence(['a', 'b'])
    assert list(sequence.interrupted) == ['b']
    held = dict(tight.held)
    for step in sequence.steps:
        for move in step:
            held[move.worker] = held[move.worker] - move.release | move.add
            assert size_of(tight.tables, held[move.worker]) <= tight.memory_bytes[move.worker]
    assert held['x'] == tight.wanted['x']


def test_where_all_is_there_nothing_is_done() -> None:
    held = {'one': units_of([Partition('net', 0, 2)])}
    case = Case(
        held=held, wanted=held, tables={'net': table('net', [1, 1])}, memory_bytes={'one': 2 * MB}
    )
    assert case.sequence(['net']) == MoveSequence()


def test_units_and_partitions_are_two_ways_to_say_the_same() -> None:
    parts = (Partition('a', 0, 2), Partition('a', 3, 4), Partition('b', 1, 2))
    assert partitions_of(units_of(parts)) == parts


def test_tensors_that_units_share_are_read_once() -> None:
    shared = table('net', [1, 1])
    tied = replace(
        shared, units=tuple(replace(unit, weights=(('w', MB),)) for unit in shared.units)
    )
    assert load_bytes({'net': tied}, [], [('net', 0), ('net', 1)]) == MB
    assert load_bytes({'net': tied}, [('net', 0)], [('net', 1)]) == 0
