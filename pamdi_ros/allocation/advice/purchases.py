# SPDX-License-Identifier: Apache-2.0
"""What to buy next: a worker, a faster link or more memory, and what each would gain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
import math
import time

from pamdi_ros.allocation.advice.report import PlanReport, report_of
from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.optimizer.priced import solve_priced
from pamdi_ros.allocation.prediction import Predict
from pamdi_ros.allocation.problem import PlacementProblem
from pamdi_ros.allocation.solution import Solution
from pamdi_ros.fleet import Fleet, Link, Worker
from pamdi_ros.fleet.frozen import FrozenDict

#: Purchases tried, the most promising of each kind.
MOST_TRIED = 7
#: Part of the time that goes to planning; the rest to predicting latencies with the best ones.
PLANNING_PART = 0.6
#: A link less busy than this is not worth doubling.
LEAST_USE = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Purchase:
    """One thing that could be bought.

    :param text: to a person.
    :param gain: of the objective; infinite where it makes the problem feasible.
    :param feasible: with it.
    :param urgent_s: predicted mean latency of the most urgent class with it [s]; None: there is
        none, or no time was left to predict it.
    """

    text: str
    gain: float
    feasible: bool
    urgent_s: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Shopping:
    """What could be bought.

    :param tried: the best first.
    :param possible: how many purchases there were to try.
    """

    tried: tuple[Purchase, ...]
    possible: int


def purchases(report: PlanReport, predict: Predict, budget_s: float = 20.0) -> Shopping:
    """Try what could be bought; the best first: by objective, then by the urgent latency.

    Each is planned anew, and the latencies with it are predicted. In a large fleet that takes
    long: the most promising are planned first, and the best of these predicted, until the next
    one would take longer than there is time. One is planned always.

    :param report: of the fleet as it is.
    :param predict: :func:`pamdi_ros.simulation.predict.predict`.
    :param budget_s: for all of it [s].
    """
    clock = _TimeBudget(budget_s)
    wanted = list(_fleets(report))
    planned: list[tuple[float, str, Fleet, Solution]] = []
    for text, fleet in wanted[:MOST_TRIED]:
        if planned and not clock.has_time(PLANNING_PART):
            break
        costs = Costs(fleet=fleet, tables=report.costs.tables)
        solution = solve_priced(PlacementProblem.from_costs(costs), [report.solution.placement])
        planned.append((_gain(report.solution, solution), text, fleet, solution))
        clock.lap()
    planned.sort(key=lambda entry: -entry[0])
    clock.expect(report.seconds)
    found: list[Purchase] = []
    for gain, text, fleet, solution in planned:
        told: PlanReport | None = None
        if clock.has_time():
            costs = Costs(fleet=fleet, tables=report.costs.tables)
            told = report_of(costs, predict, solution=solution)
            clock.lap()
        found.append(
            Purchase(
                text=text,
                gain=gain,
                feasible=solution.feasible,
                urgent_s=None if told is None else told.urgent_s(),
            )
        )
    found.sort(key=lambda b: (-b.gain, math.inf if b.urgent_s is None else b.urgent_s))
    return Shopping(tried=tuple(found), possible=len(wanted))


class _TimeBudget:
    """Tells whether there is time for one more of what took so long before.

    :param budget_s: time in all [s].
    """

    def __init__(self, budget_s: float) -> None:
        self._budget_s = budget_s
        self._began_s = self._lap_s = time.perf_counter()
        self._longest_s = 0.0

    def has_time(self, part: float = 1.0) -> bool:
        """Tell whether one more would be done before a part of the time is up."""
        spent_s = time.perf_counter() - self._began_s
        return spent_s + self._longest_s <= part * self._budget_s

    def lap(self) -> None:
        """Note that one is done."""
        now_s = time.perf_counter()
        self._longest_s = max(self._longest_s, now_s - self._lap_s)
        self._lap_s = now_s

    def expect(self, seconds: float) -> None:
        """Begin with something else, of which one takes so long [s]."""
        self._longest_s, self._lap_s = seconds, time.perf_counter()


def _gain(before: Solution, after: Solution) -> float:
    """Gain of the objective; without a feasible plan after it nothing is gained."""
    if not after.feasible:
        return 0.0
    if not before.feasible:
        return math.inf
    return max(0.0, after.objective - before.objective)


def _fleets(report: PlanReport) -> Iterator[tuple[str, Fleet]]:
    """Yield what could be bought and the fleet with it, by turns, the most promising first."""
    kinds = [
        list(_with_worker(report.costs)),
        list(_with_links(report)),
        list(_with_memory(report)),
    ]
    for number in range(max(map(len, kinds))):
        for kind in kinds:
            yield from kind[number : number + 1]


def _with_worker(costs: Costs) -> Iterator[tuple[str, Fleet]]:
    """One more worker like the best one, linked as that is."""
    fleet = costs.fleet
    best = min(fleet.workers.values(), key=lambda w: (w.expected_seconds_per_flop, -_memory(w)))
    name = _free_name(fleet, f'{best.name}_2')
    pairs = dict(fleet.links.pairs)
    for ends, link in fleet.links.pairs.items():
        if best.name in ends:
            pairs[ends - {best.name} | {name}] = link
    if fleet.links.default is None and pairs:  # a way between the two
        fastest = max(pairs.values(), key=lambda link: link.bandwidth_bytes_per_s)
        pairs[frozenset((best.name, name))] = fastest
    workers = {**fleet.workers, name: replace(best, name=name)}
    yield (
        f'one more worker like {best.name}',
        replace(
            fleet,
            workers=FrozenDict(workers),
            links=replace(fleet.links, pairs=FrozenDict(pairs)),
        ),
    )


def _with_links(report: PlanReport) -> Iterator[tuple[str, Fleet]]:
    """Twice the bandwidth of the busiest links, or of all where they are one medium."""
    fleet, links = report.costs.fleet, report.costs.fleet.links
    use = {frozenset(ends): sum(by_class) for ends, by_class in report.prediction.links.items()}
    for pair, planned in report.solution.link_use.items():
        last = max(planned.values(), default=0.0)
        use[frozenset(pair)] = max(use.get(frozenset(pair), 0.0), last)
    busiest = sorted(
        (ends for ends in use if use[ends] >= LEAST_USE),
        key=lambda ends: (-use[ends], sorted(ends)),
    )
    if links.shared and busiest:
        yield (
            'twice the bandwidth of the shared medium',
            replace(
                fleet,
                links=replace(
                    links,
                    default=None if links.default is None else _doubled(links.default),
                    pairs=FrozenDict({ends: _doubled(link) for ends, link in links.pairs.items()}),
                ),
            ),
        )
        return
    for ends in busiest:
        one, other = sorted(ends)
        link = links.between(one, other)
        if link is not None:  # else it is relayed
            pairs = {**links.pairs, ends: _doubled(link)}
            yield (
                f'twice the bandwidth between {one} and {other}',
                replace(fleet, links=replace(links, pairs=FrozenDict(pairs))),
            )


def _with_memory(report: PlanReport) -> Iterator[tuple[str, Fleet]]:
    """Twice the memory of the workers where a byte is worth most, or that lack it."""
    fleet, solution = report.costs.fleet, report.solution
    price = dict(solution.prices.memory)
    if solution.remedy is not None and solution.remedy.worker:
        price[solution.remedy.worker] = math.inf
    names = sorted(
        (name for name, value in price.items() if value > 0), key=lambda name: -price[name]
    )
    for name in names:
        worker = fleet.workers[name]
        if worker.memory_bytes is not None:
            larger = replace(worker, memory_bytes=2 * worker.memory_bytes)
            yield (
                f'twice the memory at {name}',
                replace(fleet, workers=FrozenDict({**fleet.workers, name: larger})),
            )


def _doubled(link: Link) -> Link:
    return replace(link, bandwidth_bytes_per_s=2 * link.bandwidth_bytes_per_s)


def _memory(worker: Worker) -> float:
    return math.inf if worker.memory_bytes is None else float(worker.memory_bytes)


def _free_name(fleet: Fleet, name: str) -> str:
    while name in fleet.workers:
        name += '_2'
    return name
