# SPDX-License-Identifier: Apache-2.0
"""When to plan anew, and whether the new plan is worth its move.

A move costs: weights are loaded while the fleet serves on. The rule (ours): loading takes a share
of a worker's time, so the weighted delay of the whole fleet, D weighted seconds per second, grows
by that share as long as it lasts, spread over the workers; the plan is adopted when what it gains
until its horizon is more, and more than a share of D, below which two plans are taken for equal
and the running one stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import math

from pamdi_ros.allocation.conditions import Change, changes, Conditions
from pamdi_ros.fleet import Fleet
from pamdi_ros.models.units import UnitTable
from pamdi_ros.worker.plan import Partition, Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplanParameters:
    """Constants of re-planning.

    :param drift: relative change of a unit time, a link or a rate that is worth a new plan.
    :param absent_s: a worker silent for longer is planned without [s]; sooner its peers have
        taken over what it had.
    :param settle_s: for which a measured change must last before it is planned for [s].
    :param least_interval_s: between two plans for measured changes [s]; who joins or goes, and
        priorities, are planned for at once.
    :param horizon_s: time in which a move must earn its cost [s].
    :param least_gain: share of the weighted delay that a move must save.
    :param load_bytes_per_s: at which weights are loaded [B/s].
    :param load_share: part of a worker's time that loading takes.
    """

    drift: float = 0.2
    absent_s: float = 5.0
    settle_s: float = 2.0
    least_interval_s: float = 10.0
    horizon_s: float = 60.0
    least_gain: float = 0.05
    load_bytes_per_s: float = 200e6
    load_share: float = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """What a plan is worth under some conditions.

    :param objective: α·accuracy − weighted delay, per second; −inf: some items cannot be served.
    :param delay: the weighted delay alone [weighted s/s].
    :param served: sources that have a way.
    :param share: of all items, by weight, that can be served, in [0, 1].
    """

    objective: float
    delay: float
    served: frozenset[str]
    share: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether a new plan is adopted.

    :param text: why, for a person.
    """

    adopted: bool
    text: str


class Replanner:
    """Remembers what the running plan was made for. Pure: told the time.

    :param fleet: as declared.
    :param parameters: constants.
    """

    def __init__(self, fleet: Fleet, parameters: ReplanParameters | None = None) -> None:
        self.parameters = parameters or ReplanParameters()
        self._fleet = fleet
        self._planned_for = Conditions()
        self._planned_s = -math.inf
        self._since: dict[str, float] = {}

    def planned(self, conditions: Conditions, now: float) -> None:
        """Note what was planned for, whether or not the plan was adopted."""
        self._planned_for = conditions
        self._planned_s = now
        self._since.clear()

    def due(self, conditions: Conditions, now: float) -> tuple[Change, ...]:
        """Say why to plan anew now; empty: there is no need.

        What is measured must have been different for a while, and nothing been planned just now.
        """
        parameters = self.parameters
        found = changes(self._fleet, self._planned_for, conditions, parameters.drift)
        # What went back to what it was begins again.
        self._since = {change.subject: self._since.get(change.subject, now) for change in found}
        if any(change.at_once for change in found):
            return found
        if now - self._planned_s < parameters.least_interval_s:
            return ()
        settled = any(now - since_s >= parameters.settle_s for since_s in self._since.values())
        return found if settled else ()

    def judge(self, running: Value, candidate: Value, moved_bytes: Mapping[str, int]) -> Verdict:
        """Say whether a new plan is worth its move.

        :param running: the running plan under the conditions that hold now.
        :param candidate: the new one.
        :param moved_bytes: weights that each worker would have to load [byte].
        """
        parameters = self.parameters
        if lost := running.served - candidate.served:
            return Verdict(adopted=False, text=f'it would not serve {", ".join(sorted(lost))}')
        if won := candidate.served - running.served:
            return Verdict(adopted=True, text=f'it serves {", ".join(sorted(won))}')
        if candidate.objective == -math.inf:
            better = candidate.share > running.share + parameters.least_gain
            text = f'it would serve {candidate.share:.1%} of the items, not {running.share:.1%}'
            return Verdict(adopted=better, text=text)
        if running.objective == -math.inf:
            return Verdict(adopted=True, text='the running plan could not keep up')
        gain = candidate.objective - running.objective
        least = parameters.least_gain * running.delay
        load_s = sum(moved_bytes.values()) / parameters.load_bytes_per_s
        cost = running.delay * parameters.load_share * load_s / len(self._fleet.workers)
        told = (
            f'it saves {gain:.3g} of {running.delay:.3g} weighted s/s and moves '
            f'{sum(moved_bytes.values()) / 1e6:.0f} MB'
        )
        if gain <= least:
            return Verdict(adopted=False, text=f'{told}: no more than {least:.3g}')
        if gain * parameters.horizon_s <= cost:
            text = f'{told}: not earned within {parameters.horizon_s:g} s'
            return Verdict(adopted=False, text=text)
        return Verdict(adopted=True, text=told)


def moved_bytes(tables: Mapping[str, UnitTable], running: Plan, candidate: Plan) -> dict[str, int]:
    """Give the weights that each worker would have to load [byte], by worker; none: left out."""
    moved = {}
    for worker, parts in candidate.placement.items():
        held = _tensors(tables, running.partitions(worker))
        new = _tensors(tables, parts)
        if size := sum(size for tensor, size in new.items() if tensor not in held):
            moved[worker] = size
    return moved


def _tensors(
    tables: Mapping[str, UnitTable], parts: tuple[Partition, ...]
) -> dict[tuple[str, str], int]:
    """Sizes of the weight tensors of partitions, by (model, name) [byte]."""
    return {
        (part.model, name): size
        for part in parts
        if part.model in tables
        for unit in tables[part.model].units[part.first : part.last]
        for name, size in unit.weights
    }
