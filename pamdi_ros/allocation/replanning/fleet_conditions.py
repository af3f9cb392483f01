# SPDX-License-Identifier: Apache-2.0
"""What a running fleet is like now, against what a plan was made for.

Planning knows declared figures only; a running fleet tells which workers are there, how fast they
and the links are, and how often items come. :func:`measured_fleet` puts that into a fleet, so that
every planner works on measured figures without knowing; :func:`changes` says, for a person, what
has become different enough to plan anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
import math
from statistics import fmean

from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.replanning.estimate import Estimate
from pamdi_ros.allocation.replanning.rates import Counts, Rate, SURE
from pamdi_ros.allocation.replanning.speeds import Pair, speeds_of
from pamdi_ros.fleet import Fleet, Link
from pamdi_ros.fleet.frozen import FrozenDict
from pamdi_ros.models.units import UnitTable

#: Relative change of a unit time, a link or a rate that is worth a new plan.
DRIFT = 0.2
#: Slowdown of a link on which nothing was measured.
AS_DECLARED = Estimate(1.0)
#: A worker that cannot run a model is planned with as so many times slower: no plan relies on it
#: that can do without.
UNFIT_FACTOR = 1e4


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetConditions:
    """One fleet at one moment. What is not measured is left out: the fleet file's figure counts.

    :param absent: workers that are not there.
    :param unfit: models that workers were to hold and could not run for a while, by worker.
    :param speeds: measured time of a FLOP by worker and model [s/FLOP].
    :param slowdown: measured time on the wire as a multiple of the declared one, by the two
        workers [1].
    :param rates: measured arrivals by source.
    :param counts: items of each source since the fleet is listened to.
    :param priorities: class by source, where it is not the fleet file's.
    """

    absent: frozenset[str] = frozenset()
    unfit: frozenset[Pair] = frozenset()
    speeds: Mapping[Pair, Estimate] = field(default_factory=FrozenDict)
    slowdown: Mapping[frozenset[str], Estimate] = field(default_factory=FrozenDict)
    rates: Mapping[str, Rate] = field(default_factory=FrozenDict)
    counts: Mapping[str, Counts] = field(default_factory=FrozenDict)
    priorities: Mapping[str, str] = field(default_factory=FrozenDict)


@dataclass(frozen=True, slots=True)
class ConditionChange:
    """Something that is no longer as it was planned for.

    :param subject: what it is about, the same for every figure.
    :param text: for a person.
    :param at_once: it is known for sure, not measured.
    :param eases: there is less to do than was planned for, or it is done sooner.
    """

    subject: str
    text: str
    at_once: bool = False
    eases: bool = False


def measured_costs(
    fleet: Fleet, tables: Mapping[str, UnitTable], conditions: FleetConditions
) -> Costs:
    """Return what running and sending costs on a fleet as it is measured.

    :param fleet: as declared.
    :param tables: unit table by model.
    """
    speeds = speeds_of(fleet, tables, conditions.speeds)
    return Costs(
        fleet=measured_fleet(fleet, conditions),
        tables=tables,
        speeds=FrozenDict(
            {
                pair: speed.value * (UNFIT_FACTOR if pair in conditions.unfit else 1.0)
                for pair, speed in speeds.items()
            }
        ),
    )


def measured_fleet(fleet: Fleet, conditions: FleetConditions) -> Fleet:
    """Return a fleet as it is measured, but for the speeds: see :func:`measured_costs`.

    An absent worker stays, with no memory: it can hold nothing, but the network through it may
    still carry what others send. The sources that live there are left out.

    :param fleet: as declared; names in `conditions` that it does not have are passed over.
    :returns: an equal fleet where nothing is absent or measured.
    """
    workers = {
        name: replace(
            worker,
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


def _measured_pairs(fleet: Fleet, conditions: FleetConditions) -> dict[frozenset[str], Link]:
    """Return the links as they are measured.

    One that nothing was measured on is taken for as slow as those around it (the geometric mean
    over the links of both its ends): were it taken for as good as declared, every link would look
    better than the one in use, and plans would wander.
    """
    pairs = dict(fleet.links.pairs)
    logs: dict[str, list[float]] = {}
    for pair, measured in conditions.slowdown.items():
        for worker in pair:
            logs.setdefault(worker, []).append(math.log(measured.value))
    if not logs:
        return pairs
    for a, b in combinations(fleet.workers, 2):
        declared = fleet.links.between(a, b)
        around = logs.get(a, []) + logs.get(b, [])
        known = conditions.slowdown.get(frozenset((a, b)))
        if declared is not None and around:
            slowdown = math.exp(fmean(around)) if known is None else known.value
            bandwidth = declared.bandwidth_bytes_per_s / slowdown
            pairs[frozenset((a, b))] = replace(declared, bandwidth_bytes_per_s=bandwidth)
    return pairs


def _planned_rate(measured: Rate | None, declared_hz: float | None) -> float | None:
    """Rate to plan with [1/s]: a source that is silent now may come back as it was declared."""
    return measured.per_s if measured is not None and measured.per_s > 0 else declared_hz


def changes(
    fleet: Fleet, before: FleetConditions, now: FleetConditions, drift: float = DRIFT
) -> tuple[ConditionChange, ...]:
    """Say what has changed enough to plan anew.

    A measured figure counts when it is no longer changing, and surely another one than was
    planned with.

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


def _workers(before: FleetConditions, now: FleetConditions) -> Iterator[ConditionChange]:
    for name in sorted(now.absent - before.absent):
        yield ConditionChange(name, f'{name} is gone', at_once=True)
    for name in sorted(before.absent - now.absent):
        yield ConditionChange(name, f'{name} has joined', at_once=True)
    for worker, model in sorted(now.unfit - before.unfit):
        yield ConditionChange(f'{model} at {worker}', f'{worker} cannot run {model}', at_once=True)
    for worker, model in sorted(before.unfit - now.unfit):
        yield ConditionChange(f'{model} at {worker}', f'{worker} runs {model} again', at_once=True)


def _priorities(
    fleet: Fleet, before: FleetConditions, now: FleetConditions
) -> Iterator[ConditionChange]:
    for name, source in fleet.sources.items():
        was = before.priorities.get(name, source.priority)
        if (to := now.priorities.get(name, source.priority)) != was:
            yield ConditionChange(name, f'{name} is {to}, was {was}', at_once=True)


def _speeds(
    fleet: Fleet, before: FleetConditions, now: FleetConditions, drift: float
) -> Iterator[ConditionChange]:
    planned = speeds_of(fleet, dict.fromkeys(model for _, model in now.speeds), before.speeds)
    pairs = [pair for pair in now.speeds if pair in planned and pair[0] not in now.absent]
    was = {
        # A pair never measured was planned with as a number, right or wrong.
        pair: planned[pair] if pair in before.speeds else Estimate(planned[pair].value)
        for pair in pairs
    }
    several = len({worker for worker, _ in pairs}) > 1
    ratios = [now.speeds[pair].value / was[pair].value for pair in pairs]
    common = shared(ratios) if several else 1.0
    for pair in pairs:
        to = now.speeds[pair]
        if to.steady and was[pair].times(common).differs(to, drift):
            worker, model = pair
            text = (
                f'{worker} takes {1e12 * to.value:.3g} ms/GFLOP for {model}, '
                f'{1e12 * was[pair].value:.3g} was planned'
            )
            eases = to.value < was[pair].value * common
            yield ConditionChange(f'speed of {worker} for {model}', text, eases=eases)


def _links(
    before: FleetConditions, now: FleetConditions, drift: float
) -> Iterator[ConditionChange]:
    pairs = [pair for pair in now.slowdown if not pair & now.absent]
    was = {pair: before.slowdown.get(pair, AS_DECLARED) for pair in pairs}
    common = shared(now.slowdown[pair].value / was[pair].value for pair in pairs)
    for pair in pairs:
        to = now.slowdown[pair]
        if to.steady and was[pair].times(common).differs(to, drift):
            link = 'link ' + '–'.join(sorted(pair))
            text = (
                f'{link} takes {to.value:.2f} × its declared time, '
                f'{was[pair].value:.2f} × was planned'
            )
            yield ConditionChange(link, text, eases=to.value < was[pair].value * common)


def shared(ratios: Iterable[float]) -> float:
    """Return by how much all figures are larger, or all smaller, than they were; 1: not all are.

    What all workers, or all links, have in common is no reason to move anything: a busy host, a
    warm hall, a declared bandwidth that no link has. Of one figure nobody can tell.
    """
    found = list(ratios)
    if len(found) < 2:
        return 1.0
    return max(1.0, min(found)) * min(1.0, max(found))


def _rates(
    fleet: Fleet, before: FleetConditions, now: FleetConditions, drift: float
) -> Iterator[ConditionChange]:
    for name, rate in now.rates.items():
        declared = fleet.sources[name].rate_hz
        known = before.rates.get(name)
        was = known.per_s if known is not None else declared
        subject, comes = f'rate of {name}', f'{name} comes at {rate.per_s:.3g} Hz'
        if was is None:  # nothing was known of it: anything known is news
            yield ConditionChange(subject, f'{comes}, its rate was unknown')
        elif rate.steady and _differs(was, rate.per_s, drift) and rate.differs(was, SURE):
            eases = rate.per_s < was
            yield ConditionChange(subject, f'{comes}, {was:.3g} Hz was planned', eases=eases)


def _differs(was: float, to: float, drift: float) -> bool:
    """Whether one of two positive figures is larger than the other by more than `drift`."""
    return max(was, to) > (1 + drift) * min(was, to)
