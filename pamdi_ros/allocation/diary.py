# SPDX-License-Identifier: Apache-2.0
"""What happened in the histories of a fleet, and what it says when they have ended."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from pamdi_ros.allocation.departures import sojourns
from pamdi_ros.allocation.options import Bools, Floats, Ints, Options


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outcome:
    """What has come of all histories together, once the queues have filled.

    :param delay_s: mean from arrival to answer by source; not a number where none arrived [s].
    :param taken: by stage and choice: times taken for each item of the source.
    :param growth: by which the work at each queue grows on average, by class [s/s].
    """

    delay_s: Floats
    taken: Floats
    growth: Floats


@dataclass(slots=True, eq=False)
class Diary:
    """Notes of every step, one entry each: of all that happened, and of the stays that began."""

    _events: list[tuple[Floats, Ints, Bools, Bools, Floats]] = field(default_factory=list)
    _stays: list[tuple[Floats, Ints, Ints, Floats, Floats]] = field(default_factory=list)

    def event(
        self, at_s: Floats, option: Ints, fresh: Bools, decided: Bools, way_s: Floats
    ) -> None:
        """Note what happened, an entry of each array for each event.

        :param option: number of the stage's choice, counted through all stages.
        :param fresh: whether an item has arrived.
        :param decided: whether the choice was made now.
        :param way_s: time on the way that follows [s].
        """
        self._events.append((at_s, option, fresh, decided, way_s))

    def stay(
        self, at_s: Floats, option: Ints, queue: Ints, brought_s: Floats, left_s: Floats
    ) -> None:
        """Note stays that began.

        :param queue: number of the queue, counted through all histories.
        :param brought_s: work of each class that ever came to it [s], shape (stays, classes).
        :param left_s: work of each class there [s], likewise.
        """
        self._stays.append((at_s, option, queue, brought_s, left_s))

    def read(
        self, options: Options, sources: int, from_s: float, stretch: Floats, growth: Floats
    ) -> Outcome:
        """Sum up what happened from some time on.

        :param stretch: of work that is not done at the end, shape (classes, queues).
        :param growth: of the queues' work, see :class:`Outcome`.
        """
        size = options.worker.shape[1]
        events = zip(*self._events, strict=True)
        at_s, option, fresh, decided, way_s = (np.concatenate(notes) for notes in events)
        counted = at_s >= from_s
        source = options.source[option // size]
        items = np.bincount(source[counted & fresh], minlength=sources).astype(np.float64)
        total_s = np.bincount(source[counted], way_s[counted], minlength=sources)
        stays = zip(*self._stays, strict=True)
        at_s, stay, queue, brought_s, left_s = (np.concatenate(notes) for notes in stays)
        stays_s = sojourns(
            queue=queue,
            rank=options.rank[stay // size],
            at_s=at_s,
            brought_s=brought_s.T,
            left_s=left_s.T,
            stretch=stretch,
        )
        later = at_s >= from_s
        by_source = options.source[stay[later] // size]
        total_s = total_s + np.bincount(by_source, stays_s[later], minlength=sources)
        taken = np.bincount(option[counted & decided], minlength=options.worker.size)
        taken = taken.reshape(options.worker.shape)
        return Outcome(
            delay_s=total_s / np.where(items > 0, items, np.nan),
            taken=taken / np.maximum(items, 1.0)[options.source][:, None],
            growth=growth,
        )
