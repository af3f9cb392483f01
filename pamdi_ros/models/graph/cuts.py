# SPDX-License-Identifier: Apache-2.0
"""Where to cut a chain of operations into units. Plain numbers in, positions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
import math

LARGEST_SHARE = 1 / 16  # of the model's flops in one unit, where a finer cut exists
WORTHLESS_RATIO = 1.5  # a boundary so much larger than its neighbour's must earn its place


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """A place to cut: before operation `index`.

    :param flops: floating point operations before it.
    :param boundary_bytes: size of the tensors that would cross [byte].
    :param tensors: how many they are.
    """

    index: int
    flops: int
    boundary_bytes: int
    tensors: int


def choose_cuts(
    positions: Sequence[Position], total_flops: int, unit_flops: int | None = None
) -> tuple[int, ...]:
    """Choose the operations before which units begin, the first one excluded.

    1. Take the places where a single tensor crosses: ends of layers and blocks.
    2. Remove those with a large boundary, as long as the joined unit stays small.
    3. Split what is still too large where several tensors cross, by least bytes.

    :param positions: the admissible places in order.
    :param total_flops: of the whole model.
    :param unit_flops: a lower limit of a unit than LARGEST_SHARE [FLOP]; None: none.
    :returns: indices of operations, ascending.
    """
    limit = min(total_flops * LARGEST_SHARE, math.inf if unit_flops is None else unit_flops)
    best = best_of_equal_work(positions)
    chosen = _without_worthless([p for p in best if p.tensors == 1], total_flops, limit)
    ends = (0, *(p.flops for p in chosen), total_flops)
    finer: list[Position] = []
    for first, last in pairwise(ends):
        if last - first > limit:
            inner = [p for p in best if first < p.flops < last]
            finer += _split(inner, first, last, limit)
    return tuple(sorted({p.index for p in (*chosen, *finer)}))


def best_of_equal_work(positions: Sequence[Position]) -> list[Position]:
    """Keep, of places with no work between them, the one with least bytes, the last of equals."""
    best: dict[int, Position] = {}
    for place in positions:
        known = best.get(place.flops)
        if known is None or (place.boundary_bytes, place.tensors) <= (
            known.boundary_bytes,
            known.tensors,
        ):
            best[place.flops] = place
    return [place for flops, place in sorted(best.items()) if flops > 0]


def _without_worthless(places: list[Position], total_flops: int, limit: float) -> list[Position]:
    kept = list(places)
    for place in sorted(places, key=lambda p: -p.boundary_bytes):
        at = kept.index(place)
        before = kept[at - 1] if at > 0 else None
        after = kept[at + 1] if at + 1 < len(kept) else None
        neighbours = [p.boundary_bytes for p in (before, after) if p is not None]
        joined = (after.flops if after else total_flops) - (before.flops if before else 0)
        large = neighbours and place.boundary_bytes > WORTHLESS_RATIO * min(neighbours)
        if large and joined <= limit:
            del kept[at]
    return kept


def _split(inner: Sequence[Position], first: int, last: int, limit: float) -> list[Position]:
    """Choose places within ]first, last[ that respect `limit` where possible, by least bytes."""
    # Dynamic programme over places: cost = excess over the limit first, then bytes.
    nodes = [(first, None), *((p.flops, p) for p in inner), (last, None)]
    best: list[tuple[float, int, list[Position]]] = [(0.0, 0, [])]
    for at in range(1, len(nodes)):
        flops, place = nodes[at]
        options = []
        for back in range(at):
            excess, size, path = best[back]
            over = max(0.0, flops - nodes[back][0] - limit)
            cost = place.boundary_bytes if place else 0
            options.append((excess + over, size + cost, [*path, place] if place else path))
        best.append(min(options, key=lambda option: option[:2]))
    return best[-1][2]
