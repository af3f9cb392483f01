# SPDX-License-Identifier: Apache-2.0
"""A feed of one view, or of none, that remembers what it was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import functools

from pamdi_ros.monitor.collector import Collector
from pamdi_ros.monitor.view import FleetView
from rqt.synthetic_fleet import play, SyntheticFleet

NOW_S = 1000.0


@functools.cache
def synthetic_view(count: int, lost: bool = False) -> FleetView:
    """Return the view of a synthetic fleet.

    :param lost: one of its workers has been silent for a while.
    """
    collector = Collector('/synthetic')
    fleet = SyntheticFleet(count)
    play(fleet, collector, 120, NOW_S)
    view = collector.view(NOW_S)
    if lost:
        name = fleet.workers[-1]
        silent = replace(view.workers[name], heard_s=NOW_S - 12)
        view = replace(view, workers={**view.workers, name: silent})
    return view


class StillFeed:
    """Gives always the same view.

    :param view: that it gives.
    """

    def __init__(self, view: FleetView) -> None:
        self.view = view
        self.followed: list[str] = []
        self.wishes: list[tuple[str, str]] = []
        self.refusal = ''

    def fleets(self) -> tuple[str, ...]:
        """Return the fleet of the view."""
        return (f'/{self.view.name}',) if self.view.name else ()

    def follow(self, prefix: str) -> None:
        """Remember it."""
        self.followed.append(prefix)

    def snapshot(self) -> FleetView:
        """Return the view."""
        return self.view

    def set_priority(self, source: str, priority: str, done: Callable[[str], None]) -> None:
        """Remember it, and answer at once."""
        self.wishes.append((source, priority))
        done(self.refusal)
