# SPDX-License-Identifier: Apache-2.0
"""In which order workers change what they hold, so that no model is without a holder meanwhile.

From what is held to what a new plan wants leads a sequence of steps. In each, a worker lets some
units go and then adds others, within its memory; the next step begins when that is done. A model
is *kept* if at every moment each of its units has a holder that serves it. The most urgent models
are kept first, in lexicographic order, and whatever cannot be kept is interrupted, for as short a
time as the order allows.

The search (ours) runs over states, one set of blocks for each worker. Blocks are runs of units
that every worker holds, and is to hold, together; where they are too coarse, single units. Loads
that are wanted and fit are made first; where none fits, a best-first search tries loads,
releases of what others hold too, and detours: blocks that a worker holds for a while only.
Letting go is put off until its memory is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
import heapq
import math

from pamdi_ros.allocation.memory import MemoryNeed
from pamdi_ros.assignment import Unit
from pamdi_ros.models.units import UnitTable

#: What each worker holds.
HeldUnits = Mapping[str, frozenset[Unit]]

#: Loads and releases that one search looks at, at most: about half a second.
MOST_OPTIONS = 100_000
#: Weight of a detour, as a share of the largest block's bytes: they are tried last.
DETOUR_SHARE = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """What one worker does in a step: it lets units go, then adds others."""

    worker: str
    release: frozenset[Unit] = frozenset()
    add: frozenset[Unit] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class MoveSequence:
    """The way from one placement to another.

    :param steps: moves of each step; those of one step may be made at the same time.
    :param interrupted: steps, as [first, last), from the one that lets the last holder of a unit
        go to the one that brings it back, by model; models that are kept are left out.
    """

    steps: tuple[tuple[Move, ...], ...] = ()
    interrupted: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def is_served(model: str, table: UnitTable, holdings: Iterable[Iterable[Unit]]) -> bool:
    """Tell whether each unit of a model has a holder."""
    held = {unit for units in holdings for name, unit in units if name == model}
    return held.issuperset(range(len(table)))


def move_sequence(
    held: HeldUnits,
    wanted: HeldUnits,
    tables: Mapping[str, UnitTable],
    memory_bytes: Mapping[str, float],
    urgency: Sequence[str],
    at_once: int = 1,
) -> MoveSequence:
    """Return the steps from what is held to what is wanted.

    :param held: units that serve now, of every worker that is there.
    :param wanted: units that each of them is to hold.
    :param tables: unit table by model; units of other models are let go first.
    :param memory_bytes: bound of each worker on weights and activations [byte].
    :param urgency: models to keep, the most urgent first; those that are not served now have
        nothing to lose. Units of the others that nobody is to hold in the end stay where they are,
        if there is room for all of a model's.
    :param at_once: workers that may load in one step.
    """
    names = sorted({*held, *wanted})
    before = {name: held.get(name, frozenset()) for name in names}
    after = {name: wanted.get(name, frozenset()) for name in names}
    kept = [
        model
        for model in dict.fromkeys(urgency)
        if model in tables and is_served(model, tables[model], before.values())
    ]
    after, lasting = _with_orphans(before, after, kept, tables, memory_bytes)
    for fine in (False, True):
        board = _Board(names, before, after, tables, memory_bytes, fine=fine)
        order = board.order(lasting)
        if order is not None:
            return _sequence(board, order, kept, tables, at_once)
    board = _Board(names, before, after, tables, memory_bytes, fine=False)
    can: list[str] = []
    order = []
    for model in lasting:
        found = board.order([*can, model])
        if found is not None:
            can.append(model)
            order = found
    if not can:
        order = board.order([]) or board.at_once()
    return _sequence(board, order, kept, tables, at_once)


def _with_orphans(
    before: HeldUnits,
    after: HeldUnits,
    kept: Sequence[str],
    tables: Mapping[str, UnitTable],
    memory_bytes: Mapping[str, float],
) -> tuple[dict[str, frozenset[Unit]], list[str]]:
    """Have what nobody here is to hold in the end held on, as its next holder is not there.

    :returns: what each worker holds in the end, and the models that can be kept so.
    """
    wanted = frozenset[Unit]().union(*after.values())
    found, lasting = dict(after), list[str]()
    for model in kept:
        orphans = {(model, unit) for unit in range(len(tables[model]))} - wanted
        more = {name: units | before[name] & orphans for name, units in found.items()}
        if all(
            more[name] == found[name]
            or MemoryNeed.of(tables, units).total_bytes <= memory_bytes.get(name, math.inf)
            for name, units in more.items()
        ):
            found = more
            lasting.append(model)
    return found, lasting


#: (worker's number, block's number, whether it is loaded)
_Op = tuple[int, int, bool]


class _Board:
    """Blocks, and what each worker holds of them, as bits of a number."""

    def __init__(
        self,
        names: Sequence[str],
        held: HeldUnits,
        wanted: HeldUnits,
        tables: Mapping[str, UnitTable],
        memory_bytes: Mapping[str, float],
        *,
        fine: bool,
    ) -> None:
        self.names = names
        self.blocks = [
            block
            for block in _blocks(names, held, wanted, fine)
            if block[0][0] in tables and block[-1][1] < len(tables[block[0][0]])
        ]
        self.start = tuple(self._mask(held[name]) for name in names)
        self.goal = tuple(self._mask(wanted[name]) for name in names)
        self._tables = tables
        self._bound = [memory_bytes.get(name, math.inf) for name in names]
        self._need: dict[int, int] = {0: 0}
        self._size = [
            sum(size for model, unit in block for _, size in tables[model].units[unit].weights)
            for block in self.blocks
        ]

    def _mask(self, units: frozenset[Unit]) -> int:
        return sum(1 << bit for bit, block in enumerate(self.blocks) if block[0] in units)

    def models(self, chosen: Iterable[str]) -> int:
        """Return the blocks of some models."""
        wanted = set(chosen)
        return sum(1 << bit for bit, block in enumerate(self.blocks) if block[0][0] in wanted)

    def fits(self, worker: int, mask: int) -> bool:
        """Tell whether a worker's memory can hold blocks together."""
        need = self._need.get(mask)
        if need is None:
            need = MemoryNeed.of(self._tables, self.units(mask)).total_bytes
            self._need[mask] = need
        return need <= self._bound[worker]

    def room(self, worker: int, mask: int, pending: int) -> int:
        """Return which blocks of those pending must go, so that a worker can hold the rest."""
        room = 0
        for bit in _bits(pending & mask):
            if self.fits(worker, mask & ~room):
                break
            room |= 1 << bit
        return room

    def units(self, mask: int) -> frozenset[Unit]:
        """Return the units of blocks."""
        return frozenset(unit for bit in _bits(mask) for unit in self.blocks[bit])

    def order(self, kept: Sequence[str]) -> list[_Op] | None:
        """Return an order of loads and releases; None where none was found.

        Where nothing is to be done, that is an order too.

        :param kept: models whose every block must always have a holder.
        """
        protected = self.models(kept)
        ranks = [
            min((rank for rank, model in enumerate(kept) if model == block[0][0]), default=99)
            for block in self.blocks
        ]
        first = sorted(range(len(self.blocks)), key=lambda bit: (ranks[bit], bit))
        return (
            self._greedily(first)
            or self._search(protected, first, eager=True)
            or self._search(protected, first, eager=False)
        )

    def at_once(self) -> list[_Op]:
        """Return the order in which each worker lets all go that it need not hold, then loads."""
        order: list[_Op] = []
        for worker, (held, goal) in enumerate(zip(self.start, self.goal, strict=True)):
            order += [(worker, bit, False) for bit in _bits(held & ~goal)]
            order += [(worker, bit, True) for bit in _bits(goal & ~held)]
        return order

    def missing_bytes(self, state: Sequence[int]) -> int:
        """Weights that are still to be loaded, those that blocks share counted again [byte]."""
        return sum(
            self._size[bit]
            for mask, goal in zip(state, self.goal, strict=True)
            for bit in _bits(goal & ~mask)
        )

    def free(self, state: Sequence[int], worker: int) -> int:
        """Return what a worker need not hold on, as another one holds it and is to go on."""
        safe: int = 0
        for other, mask in enumerate(state):
            if other != worker:
                safe |= mask & self.goal[other]
        return state[worker] & ~self.goal[worker] & safe

    def elsewhere(self, state: Sequence[int], worker: int) -> int:
        """Return what other workers hold."""
        found = 0
        for other, mask in enumerate(state):
            if other != worker:
                found |= mask
        return found

    def _greedily(self, first: Sequence[int]) -> list[_Op] | None:
        state, order = list(self.start), list[_Op]()
        going = True
        while going:
            going = False
            order += self._let_go(state)
            for bit in first:
                for worker, goal in enumerate(self.goal):
                    wanted = goal & ~state[worker] & (1 << bit)
                    if wanted and self.fits(worker, state[worker] | wanted):
                        state[worker] |= wanted
                        order.append((worker, bit, True))
                        going = True
        order += self._let_go(state)
        loaded = all(not goal & ~mask for mask, goal in zip(state, self.goal, strict=True))
        return order if loaded else None

    def _let_go(self, state: list[int]) -> list[_Op]:
        """Let go, in a state, of all that is free to go."""
        order: list[_Op] = []
        for worker in range(len(state)):
            free = self.free(state, worker)
            state[worker] &= ~free
            order += [(worker, bit, False) for bit in _bits(free)]
        return order

    def _search(self, protected: int, first: Sequence[int], *, eager: bool) -> list[_Op] | None:
        """Search for an order.

        :param eager: let go at once of what another worker is to go on holding. That finds most
            orders soon, and none in which that worker has to let go of it for a while.
        """
        detour = max(self._size, default=0) * DETOUR_SHARE + 1
        start = list(self.start)
        begun = self._let_go(start) if eager else []
        root = tuple(start)
        came: dict[tuple[int, ...], tuple[tuple[int, ...], list[_Op]] | None] = {root: None}
        heap: list[tuple[float, int, float, tuple[int, ...]]] = [
            (self.missing_bytes(root), 0, 0.0, root)
        ]
        pushed = looked = 0
        while heap and looked < MOST_OPTIONS:
            _, _, paid, state = heapq.heappop(heap)
            if all(not goal & ~mask for mask, goal in zip(state, self.goal, strict=True)):
                return begun + _path(came, state)
            for worker, bit, loads, price in self._options(state, protected, first):
                looked += 1
                after = list(state)
                after[worker] ^= 1 << bit
                more = self._let_go(after) if eager else []
                key = tuple(after)
                if key in came:
                    continue
                came[key] = (state, [(worker, bit, loads), *more])
                pushed += 1
                spent = paid + price * detour
                heapq.heappush(heap, (self.missing_bytes(key) + spent, pushed, spent, key))
        return None

    def _options(
        self, state: Sequence[int], protected: int, first: Sequence[int]
    ) -> Iterator[tuple[int, int, bool, float]]:
        """Yield what can be done in a state: worker, block, whether it is loaded, its price."""
        elsewhere = [self.elsewhere(state, worker) for worker in range(len(state))]
        for bit in first:
            one = 1 << bit
            for worker, mask in enumerate(state):
                wanted = self.goal[worker] & one
                if not mask & one:
                    # For a while only: what is not to be kept need not find a place meanwhile.
                    if (wanted or protected & one) and self.fits(worker, mask | one):
                        yield worker, bit, True, 0.0 if wanted else 1.0
                elif elsewhere[worker] & one or not protected & one:
                    lasts = elsewhere[worker] & one
                    yield worker, bit, False, (1.0 if wanted else 0.0 if lasts else 0.5)


def _blocks(
    names: Sequence[str], held: HeldUnits, wanted: HeldUnits, fine: bool
) -> list[list[Unit]]:
    """Return runs of units that every worker holds, and is to hold, together."""
    found: list[list[Unit]] = []
    last: tuple[Unit, tuple[bool, ...]] | None = None
    for unit in sorted({unit for units in (*held.values(), *wanted.values()) for unit in units}):
        signature = (
            *(unit in held[name] for name in names),
            *(unit in wanted[name] for name in names),
        )
        follows = last is not None and last[0] == (unit[0], unit[1] - 1) and last[1] == signature
        if follows and not fine:
            found[-1].append(unit)
        else:
            found.append([unit])
        last = unit, signature
    return found


def _path(
    came: Mapping[tuple[int, ...], tuple[tuple[int, ...], list[_Op]] | None],
    state: tuple[int, ...],
) -> list[_Op]:
    parts: list[list[_Op]] = []
    while (step := came[state]) is not None:
        state, ops = step
        parts.append(ops)
    return [op for ops in reversed(parts) for op in ops]


def _sequence(
    board: _Board,
    order: Sequence[_Op],
    kept: Sequence[str],
    tables: Mapping[str, UnitTable],
    at_once: int,
) -> MoveSequence:
    """Return an order as steps: each worker's loads together, releases as late as can be."""
    moves = _moves(board, order)
    steps = _together(board, moves, at_once)
    state = list(board.start)
    for step in steps:
        for worker, release, add in step:
            state[worker] = state[worker] & ~release | add
    last = [
        (worker, mask & ~board.goal[worker], 0)
        for worker, mask in enumerate(state)
        if mask & ~board.goal[worker]
    ]
    if last:
        steps.append(last)
    return MoveSequence(
        steps=tuple(
            tuple(
                Move(
                    worker=board.names[worker],
                    release=board.units(release),
                    add=board.units(add),
                )
                for worker, release, add in step
            )
            for step in steps
        ),
        interrupted=_interruptions(board, steps, kept, tables),
    )


#: (worker, blocks that it lets go, blocks that it then adds)
_Masks = tuple[int, int, int]


def _moves(board: _Board, order: Sequence[_Op]) -> list[_Masks]:
    """Return an order's loads, one worker's together, each with the releases that it needs."""
    left, state, moves = list(order), list(board.start), list[_Masks]()
    pending = [0] * len(state)  # may go, and has not had to yet
    while left:
        worker, bit, loads = left[0]
        if not loads:  # its turn has come, whoever's is next
            pending[worker] |= 1 << bit
            left.pop(0)
            continue
        release = add = passed = 0
        rest: list[_Op] = []
        going = True
        for op in left:
            other, bit, loads = op
            one = 1 << bit
            # Somebody else's turn with a block comes first; of one's own, all turns in order.
            going = going and not (other == worker and (passed & one or (loads and release & one)))
            if other != worker or not going:
                rest.append(op)
                passed |= one
                continue
            if not loads:
                pending[worker] |= one
            elif (state[worker] & ~release | add) & one:
                pending[worker] &= ~one  # it was to go and come back: it stays
            else:
                room = board.room(worker, state[worker] & ~release | add | one, pending[worker])
                pending[worker] &= ~room
                release |= room & state[worker]
                add = add & ~room | one
        state[worker] = state[worker] & ~release | add
        if add or release:
            moves.append((worker, release, add))
        left = rest
    return moves


def _together(board: _Board, moves: Sequence[_Masks], at_once: int) -> list[list[_Masks]]:
    """Return moves as steps; moves that do not need one another are made at the same time."""
    steps: list[list[_Masks]] = []
    state = list(board.start)  # when the last step begins
    for move in moves:
        worker, release, _ = move
        step = steps[-1] if steps else None
        idle = not state[worker]  # a worker that holds nothing disturbs nobody
        joins = step is not None and all(other != worker for other, _, _ in step)
        if joins and step is not None:
            busy = sum(1 for other, _, add in step if add and state[other])
            remaining = list(state)
            for other, gone, _ in step:
                remaining[other] &= ~gone
            # Not counting on what the step adds, what goes now must still be elsewhere.
            safe = not release & ~board.elsewhere(remaining, worker)
            joins = safe and (idle or busy < at_once)
        if joins and step is not None:
            step.append(move)
            continue
        if step is not None:
            for other, gone, added in step:
                state[other] = state[other] & ~gone | added
        steps.append([move])
    return steps


def _interruptions(
    board: _Board,
    steps: Sequence[Sequence[_Masks]],
    kept: Sequence[str],
    tables: Mapping[str, UnitTable],
) -> dict[str, tuple[int, int]]:
    """Return the steps during which models have a unit without a holder."""
    found: dict[str, tuple[int, int]] = {}
    state = list(board.start)
    masks = {model: board.models([model]) for model in kept}
    for number, step in enumerate(steps):
        during = list(state)
        for worker, release, _ in step:
            during[worker] &= ~release
        union = 0
        for mask in during:
            union |= mask
        for model, wanted in masks.items():
            if wanted & ~union:
                first, _ = found.get(model, (number, number))
                found[model] = (first, number + 1)
        for worker, release, add in step:
            state[worker] = state[worker] & ~release | add
    return found


def _bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


#: Time that a worker takes to load so many bytes [s].
LoadSeconds = Callable[[str, int], float]


def load_bytes(
    tables: Mapping[str, UnitTable], holds: Iterable[Unit], adds: Iterable[Unit]
) -> int:
    """Return the weights that are read to add units to what a worker holds [byte]."""
    need = MemoryNeed.of(tables, holds)
    before = need.weight_bytes
    need.take(adds)
    return need.weight_bytes - before


def outages_s(
    sequence: MoveSequence,
    held: HeldUnits,
    tables: Mapping[str, UnitTable],
    load_s: LoadSeconds,
) -> dict[str, float]:
    """Return for how long each interrupted model has a unit without a holder, by model [s].

    A step lasts as long as its slowest worker loads.

    :param held: when the sequence begins.
    """
    state = {name: set(units) for name, units in held.items()}
    lasts: list[float] = []
    for step in sequence.steps:
        longest = 0.0
        for move in step:
            units = state.setdefault(move.worker, set())
            units -= move.release
            if move.add:
                size = load_bytes(tables, units, move.add)
                longest = max(longest, load_s(move.worker, size))
            units |= move.add
        lasts.append(longest)
    return {model: sum(lasts[first:last]) for model, (first, last) in sequence.interrupted.items()}
