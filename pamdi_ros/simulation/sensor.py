# SPDX-License-Identifier: Apache-2.0
"""A simulated sensor: when its items arrive, drawn or as recorded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Protocol

from pamdi_ros.fleet import Source
from pamdi_ros.simulation.arrivals import gaps
from pamdi_ros.simulation.clock import Clock
from pamdi_ros.simulation.rng import stream
from pamdi_ros.simulation.setup import Setup


class SensorHome(Protocol):
    """Takes a source's items."""

    def item(self, source: Source) -> object:
        """Take an item that has just arrived."""


class SimulatedSensor:
    """Gives a source's items to its home, which may be down.

    :param setup: what is simulated.
    :param source: its source.
    :param clock: virtual time.
    :param home: the source's home.
    """

    def __init__(self, setup: Setup, source: Source, clock: Clock, home: SensorHome) -> None:
        self._setup = setup
        self._source = source
        self._clock = clock
        self._home = home
        self._changes = 0
        self._times: Iterator[float] = iter(())

    def start(self) -> None:
        """Begin; a source without a rate or a trace stays silent."""
        recorded = self._setup.trace.get(self._source.name)
        if recorded is not None:
            self._times = iter(sorted(recorded))
            self._next(self._changes)
        elif self._source.rate_hz is not None:
            self.set_rate(self._source.rate_hz)

    def set_rate(self, rate_hz: float) -> None:
        """Go on at another rate [1/s]."""
        self._changes += 1
        rng = stream(self._setup.seed, 'arrivals', self._source.name, self._changes)
        steps = gaps(self._source.arrival, rate_hz, rng.getrandbits(64))
        now = self._clock.now
        if self._source.arrival == 'periodic':
            now -= rng.random() / rate_hz  # cameras do not start at the same moment
        self._times = accumulate(steps, initial=now)
        next(self._times)
        self._next(self._changes)

    def _next(self, change: int) -> None:
        when = next(self._times, None)
        if when is not None and when < self._setup.seconds:
            self._clock.at(when, self._arrived, change)

    def _arrived(self, change: int) -> None:
        if change == self._changes:
            self._home.item(self._source)
            self._next(change)


def arrival_times(setup: Setup) -> dict[str, list[float]]:
    """Return the times at which each source's items arrive [s], changes of rates included."""
    clock = Clock()
    times: dict[str, list[float]] = {name: [] for name in setup.fleet.sources}

    class Noting:
        def item(self, source: Source) -> None:
            times[source.name].append(clock.now)

    sensors = {
        name: SimulatedSensor(setup, source, clock, Noting())
        for name, source in setup.fleet.sources.items()
    }
    for sensor in sensors.values():
        sensor.start()
    for event in setup.fleet.events:
        for name, rate_hz in event.rates_hz.items():
            clock.at(event.at_s, sensors[name].set_rate, rate_hz)
    clock.run(setup.seconds)
    return times
