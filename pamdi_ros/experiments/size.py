# SPDX-License-Identifier: Apache-2.0
"""How much of an experiment is run: in full, quickly, or the slice that the tests run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

T = TypeVar('T')


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """A size of all experiments.

    :param name: ``full``, ``quick`` or ``slice``.
    :param seeds: of the arrivals; every combination is run once with each.
    :param seconds: time during which items arrive in one run; large fleets have less [s].
    :param real: real processes run, not the simulator.
    :param network: what the test network is on which they run, in words; empty: they share a host.
    """

    name: str
    seeds: tuple[int, ...]
    seconds: float
    real: bool = False
    network: str = ''

    @property
    def how(self) -> str:
        """How its runs come about, for captions."""
        return f'real processes, {self.where}, computing emulated' if self.real else 'simulated'

    @property
    def where(self) -> str:
        """Where real processes run."""
        return self.network or 'all on one host, links emulated'

    def pick(self, full: T, quick: T, slice_: T) -> T:
        """Return what belongs to this size; real runs take long, so the next smaller one's."""
        if self.real:
            full, quick = quick, slice_
        return {'full': full, 'quick': quick, 'slice': slice_}[self.name]


FULL = Size(name='full', seeds=(1, 2, 3, 4, 5), seconds=20.0)
#: Below 5 s no growth of a queue can be told (:mod:`pamdi_ros.simulation.stability`: ten stretches
#: of the second half, each with a sample, four a second), and all would count as stable.
QUICK = Size(name='quick', seeds=(1, 2, 3), seconds=6.0)
#: Shape and invariants only: its numbers mean nothing.
SLICE = Size(name='slice', seeds=(1, 2), seconds=1.0)
