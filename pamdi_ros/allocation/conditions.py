# SPDX-License-Identifier: Apache-2.0
"""What a running fleet is like now, against what a plan was made for.

Planning knows declared figures only; a running fleet tells which workers are there, how fast they
and the links are, and how often items come. :func:`measured_fleet` puts that into a fleet, so that
every planner works on measured figures without knowing; :func:`changes` says, for a person, what
has become different enough to plan anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
import math
from statistics import fmean

from pamdi_ros.allocation.rates import Rate
from pamdi_ros.fleet import Fleet, Link
from pamdi_ros.fleet.frozen import FrozenDict

#: Relative change of a unit time, a link or a rate that is worth a new plan.
DRIFT = 0.2
#: A rate has changed when chance would explain it less often than this many standard errors.
SURE = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """One fleet at one moment. What is not measured is left out: the fleet file's figure counts.

    :param absent: workers that are not there.
    :param seconds_per_flop: measured speed by worker [s/FLOP].
    :param slowdown: measured time on the wire as a multiple of the declared one, by the two
        workers.
    :param rates: measured arrivals by source.
    :param priorities: class by source, where it is not the fleet file's.
    """

    absent: frozenset[str] = frozenset()
    seconds_per_flop: Mapping[str, float] = field(default_factory=FrozenDict)
    slowdown: Mapping[frozenset[str], float] = field(default_factory=FrozenDict)
    rates: Mapping[str, Rate] = field(default_factory=FrozenDict)
    priorities: Mapping[str, str] = field(default_factory=FrozenDict)


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is no longer as it was planned for.

    :param subject: what it is about, the same for every figure.
    :param text: for a person.
    :param at_once: it is known for sure, not measured.
    """

    subject: str
    text: str
    at_once: bool = False


def measured_fleet(fleet: Fleet, conditions: Conditions) -> Fleet:
    """Give a fleet as it is measured.

    An absent worker stays, with no memory: it can hold nothing, but the network through it may
    still carry what others send. The sources that live there are left out.

    :param fleet: as declared; names in `conditions` that it does not have are passed over.
    :returns: an equal fleet where nothing is absent or measured.
    """
    workers = {
        name: replace(
            worker,
            seconds_per_flop=conditions.seconds_per_flop.get(name, worker.seconds_per_flop),
            memory_bytes=0 if name in conditions.absent else worker.memory_bytes,
        )
        for name, worker in fleet.workers.items()
    }
    sources = {
        name: replace(source, rate_hz=_planned_rate(conditions.rates.get(name), source.rate_hz))
        for name, source in fleet.sources.items()
        if source.worker not in conditions.absent
    }
    return replace(
        fleet,
        workers=FrozenDict(workers),
        sources=FrozenDict(sources),
        links=replace(fleet.links, pairs=FrozenDict(_measured_pairs(fleet, conditions))),
    )


def _measured_pairs(fleet: Fleet, conditions: Conditions) -> dict[frozenset[str], Link]:
    """Give the links as they are measured.

    One that nothing was measured on is taken for as slow as those around it (the geometric mean
    over the links of both its ends): were it taken for as good as declared, every link would look
    better than the one in use, and plans would wander.
    """
    pairs = dict(fleet.links.pairs)
    logs: dict[str, list[float]] = {}
    for pair, slowdown in conditions.slowdown.items():
        for worker in pair:
            logs.setdefault(worker, []).append(math.log(slowdown))
    if not logs:
        return pairs
    for a, b in combinations(fleet.workers, 2):
        declared = fleet.links.between(a, b)
        around = logs.get(a, []) + logs.get(b, [])
        known = conditions.slowdown.get(frozenset((a, b)))
        if declared is not None and around:
            slowdown = known or math.exp(fmean(around))
            bandwidth = declared.bandwidth_bytes_per_s / slowdown
            pairs[frozenset((a, b))] = replace(declared, bandwidth_bytes_per_s=bandwidth)
    return pairs


def _planned_rate(measured: Rate | None, declared_hz: float | None) -> float | None:
    """Rate to plan with [1/s]: a source that is silent now may come back as it was declared."""
    return measured.per_s if measured is not None and measured.per_s > 0 else declared_hz


def changes(
    fleet: Fleet, before: Conditions, now: Conditions, drift: float = DRIFT
) -> tuple[Change, ...]:
    """Say what has changed enough to plan anew.

    :param fleet: as declared.
    :param before: what the running plan was made for.
    :param now: what is measured.
    :param drift: relative change that counts.
    """
    return (
        *_workers(before, now),
        *_priorities(fleet, before, now),
        *_speeds(fleet, before, now, drift),
        *_links(before, now, drift),
        *_rates(fleet, before, now, drift),
    )


def _workers(before: Conditions, now: Conditions) -> Iterator[Change]:
    for name in sorted(now.absent - before.absent):
        yield Change(name, f'{name} is gone', at_once=True)
    for name in sorted(before.absent - now.absent):
        yield Change(name, f'{name} has joined', at_once=True)


def _priorities(fleet: Fleet, before: Conditions, now: Conditions) -> Iterator[Change]:
    for name, source in fleet.sources.items():
        was = before.priorities.get(name, source.priority)
        if (to := now.priorities.get(name, source.priority)) != was:
            yield Change(name, f'{name} is {to}, was {was}', at_once=True)


def _speeds(fleet: Fleet, before: Conditions, now: Conditions, drift: float) -> Iterator[Change]:
    for name, worker in fleet.workers.items():
        declared = worker.expected_seconds_per_flop
        was = before.seconds_per_flop.get(name, declared)
        to = now.seconds_per_flop.get(name, was)
        if name not in now.absent and _differs(was, to, drift):
            text = f'{name} takes {1e12 * to:.3g} ms/GFLOP, {1e12 * was:.3g} was planned'
            yield Change(f'speed of {name}', text)


def _links(before: Conditions, now: Conditions, drift: float) -> Iterator[Change]:
    for pair, to in now.slowdown.items():
        was = before.slowdown.get(pair, 1.0)
        if not pair & now.absent and _differs(was, to, drift):
            link = 'link ' + '–'.join(sorted(pair))
            text = f'{link} takes {to:.2f} × its declared time, {was:.2f} × was planned'
            yield Change(link, text)


def _rates(fleet: Fleet, before: Conditions, now: Conditions, drift: float) -> Iterator[Change]:
    for name, rate in now.rates.items():
        declared = fleet.sources[name].rate_hz
        known = before.rates.get(name)
        was = known.per_s if known is not None else declared
        subject, comes = f'rate of {name}', f'{name} comes at {rate.per_s:.3g} Hz'
        if was is None:  # nothing was known of it: anything known is news
            yield Change(subject, f'{comes}, its rate was unknown')
        elif _differs(was, rate.per_s, drift) and rate.differs(was, SURE):
            yield Change(subject, f'{comes}, {was:.3g} Hz was planned')


def _differs(was: float, to: float, drift: float) -> bool:
    """Whether one of two positive figures is larger than the other by more than `drift`."""
    return max(was, to) > (1 + drift) * min(was, to)
