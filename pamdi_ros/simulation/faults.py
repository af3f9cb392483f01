# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a simulated run: messages, workers, the allocator, the network."""

from __future__ import annotations

from dataclasses import dataclass

#: Name of the allocator where workers' names are expected, as in the fleet file's events.
ALLOCATOR = 'allocator'


@dataclass(frozen=True, kw_only=True, slots=True)
class Crash:
    """A process that dies without a word, and is started again.

    :param worker: a worker, or ``allocator``.
    :param at_s: when it dies [s].
    :param for_s: until it is started again [s]; None: never.
    """

    worker: str
    at_s: float
    for_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """A worker that is deactivated and activated again, as its node's life cycle allows.

    :param worker: a worker.
    :param at_s: when it ceases to serve [s].
    :param for_s: until it serves again [s].
    """

    worker: str
    at_s: float
    for_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSplit:
    """A network that falls into two halves and heals.

    :param group: workers of the half without the allocator.
    :param at_s: when it falls apart [s].
    :param for_s: until it heals [s].
    """

    group: frozenset[str]
    at_s: float
    for_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedNoise:
    """Workers that are slower and faster by turns, as where something else runs on them too.

    The time of a worker's units is multiplied by a factor drawn anew for each stretch of time.
    That does not average out from unit to unit, which is what makes it hard to plan under.

    :param share: the factor is uniform in [1 - share, 1 + share].
    :param least_s: shortest stretch [s].
    :param most_s: longest stretch [s]; their lengths are uniform.
    """

    share: float
    least_s: float = 2.0
    most_s: float = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """Everything that goes wrong. Chances are per message, whatever it carries.

    :param loss: chance that a message is lost after it was sent [1].
    :param duplication: chance that it comes twice [1].
    :param delayed: chance that it comes later, so that others overtake it [1].
    :param delay_s: longest such delay; the delay is uniform below it [s].
    :param clock_offset_s: workers' clocks are ahead by up to so much [s].
    :param crashes: processes that die.
    :param pauses: workers that cease to serve for a while.
    :param splits: times during which the network is in two halves; they must not overlap.
    :param speed_noise: workers that are slower and faster by turns; None: they are steady.
    :param failing_loads: chance that loading a unit fails [1].
    :param load_stall_s: for so long after a load begins a worker sends no heartbeat [s], as where
        what loads holds the lock that all threads need.
    """

    loss: float = 0.0
    duplication: float = 0.0
    delayed: float = 0.0
    delay_s: float = 0.0
    clock_offset_s: float = 0.0
    crashes: tuple[Crash, ...] = ()
    pauses: tuple[Pause, ...] = ()
    splits: tuple[NetworkSplit, ...] = ()
    speed_noise: SpeedNoise | None = None
    failing_loads: float = 0.0
    load_stall_s: float = 0.0
