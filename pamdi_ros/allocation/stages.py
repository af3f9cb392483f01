# SPDX-License-Identifier: Apache-2.0
"""Where a task can go from where it is: the choices that the run-time policy has, stage by stage.

A stage is a task at a worker that goes on with some unit: an item at home with unit 0, or one
whose stay has ended, where what the worker holds ends or where the plan cuts the model. Each
worker that holds the unit is a choice and leads to the next stage, or to the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
import math

from pamdi_ros.allocation.costs import Costs
from pamdi_ros.assignment import Plan
from pamdi_ros.fleet import policy_parameters, PolicyParameters, Source
from pamdi_ros.fleet.shortest_paths import Ways
from pamdi_ros.models.units import UnitCost

#: Choices kept of one stage, those of the least time on an idle fleet.
MOST_CHOICES = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One worker that a task could go to.

    :param worker: its name.
    :param latency_s: of the way there; 0: the task is there [s].
    :param wire_s: time of its tensors on the wire [s].
    :param service_s: of the stay there [s].
    :param unit_s: mean time of a unit of that stay [s].
    :param left_s: mean time left of the unit that runs at a moment of that stay [s].
    :param rest_s: time from the end of the stay to the answer at home [s].
    :param rest_charge_s: what the transfers on that way are charged besides [s].
    :param after: number of the stage that follows; None: the answer goes home.
    :param home_s: time of the answer's way home; 0 where a stage follows [s].
    """

    worker: str
    latency_s: float
    wire_s: float
    service_s: float
    unit_s: float
    left_s: float
    rest_s: float
    rest_charge_s: float
    after: int | None
    home_s: float

    @property
    def idle_s(self) -> float:
        """Time to the answer on an idle fleet [s]."""
        return self.latency_s + self.wire_s + self.service_s + self.rest_s


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A task at a worker.

    :param worker: its name.
    :param unit: that comes next.
    :param choices: sorted by worker; equal costs go to the first.
    """

    worker: str
    unit: int
    choices: tuple[Choice, ...]


def stages_of(
    costs: Costs,
    plan: Plan,
    ways: Ways,
    source: Source,
    exit_unit: int | None = None,
    most: int = MOST_CHOICES,
    *,
    charged: bool = False,
) -> tuple[Stage, ...]:
    """Give the stages that a source's item can come to in one pass, each before what follows it.

    :param exit_unit: units after which its items are answered; None: all.
    :param most: choices kept of a stage.
    :param charged: transfers are charged as pa_mdi_plus does; else all that counts is time.
    :returns: empty where the model has no way through the fleet.
    """
    count = len(costs.tables[source.model])
    last = count if exit_unit is None else min(exit_unit, count)
    parameters = policy_parameters(costs.fleet.policy_parameters)
    if not charged:
        parameters = replace(parameters, transfer_charge_s=0.0, transfer_charge_share=0.0)
    return _Search(costs, plan, ways, source, last, most, parameters).stages()


@dataclass(slots=True)
class _Search:
    costs: Costs
    plan: Plan
    ways: Ways
    source: Source
    last: int
    most: int
    parameters: PolicyParameters
    _rest: dict[tuple[int, str], tuple[float, float]] = field(default_factory=dict)
    _cuts: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def stages(self) -> tuple[Stage, ...]:
        start = (0, self.source.worker)
        if math.isinf(sum(self._rest_s(*start))):
            return ()
        found: dict[tuple[int, str], list[tuple[str, int]]] = {}
        pending = [start]
        while pending:
            place = pending.pop()
            if place in found:
                continue
            found[place] = self._targets(*place)
            pending += [(end, worker) for worker, end in found[place] if end < self.last]
        number = {place: index for index, place in enumerate(sorted(found, key=_by_unit))}
        return tuple(
            Stage(
                worker=worker,
                unit=unit,
                choices=tuple(
                    self._choice(unit, worker, target, end, number)
                    for target, end in found[unit, worker]
                ),
            )
            for unit, worker in number
        )

    @property
    def _table(self) -> tuple[UnitCost, ...]:
        return self.costs.tables[self.source.model].units

    def _targets(self, unit: int, worker: str) -> list[tuple[str, int]]:
        """Workers that can take the task, and where its stay there would end."""
        found = []
        for target in self.plan.placement:
            end = self._end(target, unit)
            if end > unit and math.isfinite(
                cost_s := sum(self._through_s(unit, worker, target, end))
            ):
                found.append((cost_s, target, end))
        return sorted((target, end) for _, target, end in sorted(found)[: self.most])

    def _choice(
        self, unit: int, worker: str, target: str, end: int, number: dict[tuple[int, str], int]
    ) -> Choice:
        latency_s, wire_s = self._way(unit, worker, target)
        stay_s = self.costs.run_s(self.source.model, unit, end, target)
        last = end == self.last
        # Passes of one item follow one another: they are taken for one longer stay.
        passes = self.costs.passes(self.source.model)
        times = passes if unit else 1  # the input travels once
        rest_s, rest_charge_s = self._rest_s(end, target)
        return Choice(
            worker=target,
            latency_s=times * latency_s,
            wire_s=times * wire_s,
            service_s=passes * stay_s,
            unit_s=stay_s / (end - unit),
            left_s=self._left_s(unit, end, target),
            rest_s=rest_s,
            rest_charge_s=rest_charge_s,
            after=None if last else number[end, target],
            home_s=rest_s if last else 0.0,
        )

    def _left_s(self, unit: int, end: int, worker: str) -> float:
        """E[u²] / 2 E[u] over the units [unit, end), what a random moment finds left [s]."""
        flops = [self._table[number].flops for number in range(unit, end)]
        if not sum(flops):
            return 0.0
        speed = self.costs.seconds_per_flop(worker, self.source.model)
        return speed * sum(f * f for f in flops) / (2 * sum(flops))

    def _end(self, worker: str, unit: int) -> int:
        """Where a stay that begins with `unit` ends: where what is held does, or the plan cuts."""
        end = unit
        for part in self.plan.partitions(worker):
            if part.model == self.source.model and part.first <= end < part.last:
                end = part.last
        if worker not in self._cuts:
            self._cuts[worker] = self.plan.cuts(worker, self.source.model)
        end = next((cut for cut in self._cuts[worker] if unit < cut < end), end)
        return max(unit, min(end, self.last))

    def _through_s(self, unit: int, worker: str, target: str, end: int) -> tuple[float, float]:
        """Time to the answer at home by way of a worker, and the charges on that way [s]."""
        latency_s, wire_s = self._way(unit, worker, target)
        passes = self.costs.passes(self.source.model)
        stay_s = passes * self.costs.run_s(self.source.model, unit, end, target)
        times = passes if unit else 1
        rest_s, charge_s = self._rest_s(end, target)
        if target != worker:
            charge_s += self.parameters.charge_s(times * wire_s)
        return times * (latency_s + wire_s) + stay_s + rest_s, charge_s

    def _way(self, unit: int, worker: str, target: str) -> tuple[float, float]:
        """Latency and time on the wire of the tensors that enter `unit` [s]; infinite: no way."""
        if worker == target:
            return 0.0, 0.0
        way = self.ways.between(worker, target)
        if way is None:
            return math.inf, math.inf
        size = self.costs.tables[self.source.model].boundary_bytes(unit)
        return way.latency_s, size * way.s_per_byte

    def _rest_s(self, unit: int, worker: str) -> tuple[float, float]:
        """Time to the answer at home, and charges, where both together are least [s]."""
        known = self._rest.get((unit, worker))
        if known is not None:
            return known
        if unit == self.last:
            way = self.costs.send_s(0, worker, self.source.worker)
            best = math.inf if way is None else way, 0.0
        else:
            best = math.inf, 0.0
            for target in self.plan.placement:
                end = self._end(target, unit)
                if end > unit:
                    best = min(best, self._through_s(unit, worker, target, end), key=sum)
        self._rest[unit, worker] = best
        return best


def _by_unit(place: tuple[int, str]) -> tuple[int, str]:
    return place
