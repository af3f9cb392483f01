# SPDX-License-Identifier: Apache-2.0
"""Links of a picture as curves, and places for their labels where nothing else is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
import math

from pamdi_ros.monitor.arrangement import Box

Point = tuple[float, float]

#: How far a curve leaves the straight line, as a share of its length: there and back lie apart.
BEND = 0.16
#: Where on a curve a label may be, the best place first.
PLACES = (0.5, 0.42, 0.58, 0.34, 0.66, 0.27, 0.73)


@dataclass(frozen=True, slots=True)
class Curve:
    """A quadratic Bezier curve [pixel]."""

    start: Point
    control: Point
    end: Point

    def at(self, share: float) -> Point:
        """Return the point at a share [0..1] of the way."""
        rest = 1 - share
        a, b, c = rest * rest, 2 * rest * share, share * share
        return (
            a * self.start[0] + b * self.control[0] + c * self.end[0],
            a * self.start[1] + b * self.control[1] + c * self.end[1],
        )


def curve_between(sender: Box, receiver: Box) -> Curve:
    """Return the curve from one card's middle to another's, bent to the right of its way."""
    (x1, y1), (x2, y2) = sender.centre, receiver.centre
    dx, dy = x2 - x1, y2 - y1
    return Curve((x1, y1), ((x1 + x2) / 2 - BEND * dy, (y1 + y2) / 2 + BEND * dx), (x2, y2))


def leaves(curve: Curve, box: Box, steps: int = 40) -> float:
    """Return the share of a curve's way from which on it is outside the card that it starts in."""
    for step in range(steps):
        x, y = curve.at(step / steps)
        inside = box.left <= x <= box.left + box.width and box.top <= y <= box.top + box.height
        if not inside:
            return step / steps
    return 1.0


def enters(curve: Curve, box: Box, steps: int = 40) -> float:
    """Return the share of a curve's way at which it reaches the card that it ends in."""
    return 1.0 - leaves(Curve(curve.end, curve.control, curve.start), box, steps)


def arrow_head(tip: Point, behind: Point, size: float) -> tuple[Point, Point, Point]:
    """Return a triangle that points from behind to a tip [pixel]."""
    angle = math.atan2(tip[1] - behind[1], tip[0] - behind[0])
    return (
        tip,
        *(
            (tip[0] - size * math.cos(angle + turn), tip[1] - size * math.sin(angle + turn))
            for turn in (-0.45, 0.45)
        ),
    )  # type: ignore[return-value]


def place_labels(
    labels: Sequence[tuple[Curve, float, float]],
    taken: Iterable[Box],
    area: tuple[float, float],
    gap: float = 2.0,
) -> list[Box | None]:
    """Find a free place on its curve for each label.

    :param labels: curve, width and height [pixel] of each; who comes first, chooses first.
    :param taken: boxes over which nothing may be written.
    :param area: width and height of the picture [pixel].
    :returns: a box each; None: no place is free, and the label is better left out.
    """
    boxes = list(taken)
    found: list[Box | None] = []
    for curve, width, height in labels:
        place = None
        for share in PLACES:
            x, y = curve.at(share)
            box = Box(x - width / 2, y - height / 2, width, height)
            if box.within(*area) and not any(box.overlaps(other, gap) for other in boxes):
                place = box
                boxes.append(box)
                break
        found.append(place)
    return found
