# SPDX-License-Identifier: Apache-2.0
"""How much of an experiment is run: in full, quickly, or the slice that the tests run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

T = TypeVar('T')

REAL = 'real processes, a network namespace each, computing emulated'


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """A size of all experiments.

    :param name: ``full``, ``quick`` or ``slice``.
    :param seeds: of the arrivals; every combination is run once with each.
    :param seconds: time during which items arrive in one run; large fleets have less [s].
    :param real: real processes on a test network run, not the simulator.
    """

    name: str
    seeds: tuple[int, ...]
    seconds: float
    real: bool = False

    @property
    def how(self) -> str:
        """How its runs come about, for captions."""
        return REAL if self.real else 'simulated'

    def pick(self, full: T, quick: T, slice_: T) -> T:
        """Give what belongs to this size; real runs take their time, so the next smaller one's."""
        if self.real:
            full, quick = quick, slice_
        return {'full': full, 'quick': quick, 'slice': slice_}[self.name]


FULL = Size(name='full', seeds=(1, 2, 3, 4, 5), seconds=20.0)
#: Below 5 s no growth of a queue can be told (:mod:`pamdi_ros.simulation.stability`: ten stretches
#: of the second half, each with a sample, four a second), and all would count as stable.
QUICK = Size(name='quick', seeds=(1, 2, 3), seconds=6.0)
#: Shape and invariants only: its numbers mean nothing.
SLICE = Size(name='slice', seeds=(1, 2), seconds=1.0)
