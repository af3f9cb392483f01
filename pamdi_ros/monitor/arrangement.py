# SPDX-License-Identifier: Apache-2.0
"""Where the cards of the workers lie in a picture: never over each other, be they 3 or 50."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
import math

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

#: Workers of which a ring is still a picture of who talks to whom.
MOST_ON_A_RING = 12
#: Seed of the spring layout, so that one fleet always looks the same.
SEED = 1


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle [pixel]."""

    left: float
    top: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """Its middle [pixel]."""
        return self.left + self.width / 2, self.top + self.height / 2

    def overlaps(self, other: Box, gap: float = 0.0) -> bool:
        """Tell whether less than a gap [pixel] lies between this and another."""
        return (
            self.left < other.left + other.width + gap
            and other.left < self.left + self.width + gap
            and self.top < other.top + other.height + gap
            and other.top < self.top + self.height + gap
        )

    def within(self, width: float, height: float) -> bool:
        """Tell whether it lies in an area that begins at the origin [pixel]."""
        return (
            self.left >= 0
            and self.top >= 0
            and self.left + self.width <= width
            and self.top + self.height <= height
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CardSize:
    """How large a card of some detail is [pixel].

    :param scale: of its font; the size was reckoned with it.
    """

    detail: str
    width: float
    height: float
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrangement:
    """Where each worker's card lies.

    :param detail: of the card size that fits; it may have been shrunk.
    :param scale: of that size's font.
    """

    detail: str = ''
    scale: float = 1.0
    boxes: Mapping[str, Box] = field(default_factory=dict)


def arrange(
    names: Sequence[str],
    ties: Iterable[tuple[str, str]],
    area: tuple[float, float],
    sizes: Sequence[CardSize],
    gap: float,
) -> Arrangement:
    """Lay out cards: on a ring where few, else on a grid, those that are tied near each other.

    :param names: of the workers.
    :param ties: pairs that send to each other.
    :param area: width and height [pixel].
    :param sizes: of the cards, the largest first; the first that fits is taken, and the last is
        shrunk if none does.
    :param gap: between cards [pixel].
    """
    if not names:
        return Arrangement()
    if len(names) <= MOST_ON_A_RING:
        for size in sizes:
            boxes = _ring(names, area, size)
            if all(box.within(*area) for box in boxes.values()) and not any(
                one.overlaps(two, gap) for one, two in combinations(boxes.values(), 2)
            ):
                return Arrangement(detail=size.detail, scale=size.scale, boxes=boxes)
    return _grid(names, ties, area, sizes, gap)


def _ring(names: Sequence[str], area: tuple[float, float], size: CardSize) -> dict[str, Box]:
    """Return places on the ellipse that the area holds, the first on top (two: side by side)."""
    width, height = area
    across, down = (width - size.width) / 2, (height - size.height) / 2
    if len(names) == 1:
        return {names[0]: Box(across, down, size.width, size.height)}
    start = math.pi if len(names) == 2 else -math.pi / 2
    boxes = {}
    for number, name in enumerate(names):
        angle = start + 2 * math.pi * number / len(names)
        left, top = across * (1 + math.cos(angle)), down * (1 + math.sin(angle))
        # The sine of pi is not quite zero, and a card must not leave the area by that.
        boxes[name] = Box(
            max(0.0, round(left, 6)), max(0.0, round(top, 6)), size.width, size.height
        )
    return boxes


def _grid(
    names: Sequence[str],
    ties: Iterable[tuple[str, str]],
    area: tuple[float, float],
    sizes: Sequence[CardSize],
    gap: float,
) -> Arrangement:
    """Return, for each worker, the cell nearest to where springs would pull it, all in all."""
    width, height = area
    columns = max(
        range(1, len(names) + 1),
        key=lambda count: _room(count, len(names), area, sizes[-1], gap),
    )
    rows = math.ceil(len(names) / columns)
    cell_width, cell_height = width / columns, height / rows
    room = (max(1.0, cell_width - gap), max(1.0, cell_height - gap))
    fitting = [size for size in sizes if size.width <= room[0] and size.height <= room[1]]
    size = fitting[0] if fitting else sizes[-1]
    card = (min(size.width, room[0]), min(size.height, room[1]))
    # The cells of a last row that is not full are centred.
    cells = []
    for row in range(rows):
        here = min(columns, len(names) - row * columns)
        indent = (columns - here) * cell_width / 2
        for column in range(here):
            cells.append((indent + (column + 0.5) * cell_width, (row + 0.5) * cell_height))
    wanted = _springs(names, ties) * (width / 2, height / 2) + (width / 2, height / 2)
    far = ((wanted[:, None, :] - np.array(cells)[None, :, :]) ** 2).sum(axis=2)
    _, chosen = linear_sum_assignment(far)
    boxes = {}
    for name, cell in zip(names, chosen, strict=True):
        x, y = cells[cell]
        boxes[name] = Box(x - card[0] / 2, y - card[1] / 2, *card)
    return Arrangement(detail=size.detail, scale=size.scale, boxes=boxes)


def _room(
    columns: int, count: int, area: tuple[float, float], size: CardSize, gap: float
) -> float:
    """How much of a card's size a cell has, in the direction that is tighter."""
    rows = math.ceil(count / columns)
    return min(
        (area[0] / columns - gap) / size.width,
        (area[1] / rows - gap) / size.height,
    )


def _springs(names: Sequence[str], ties: Iterable[tuple[str, str]]) -> NDArray[np.float64]:
    """Places in [-1, 1]², shape (names, 2)."""
    graph = nx.Graph()
    graph.add_nodes_from(names)
    known = set(names)
    graph.add_edges_from((a, b) for a, b in ties if a != b and a in known and b in known)
    places = nx.spring_layout(graph, seed=SEED)
    return np.array([places[name] for name in names], dtype=np.float64)
