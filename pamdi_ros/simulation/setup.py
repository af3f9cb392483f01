# SPDX-License-Identifier: Apache-2.0
"""What is simulated: a fleet, its models' costs, a policy, a seed and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
import random

from pamdi_ros.allocation.replanning.decision import ReplanParameters
from pamdi_ros.assignment import Plan
from pamdi_ros.fleet import Fleet, PolicyParameters
from pamdi_ros.models.units import UnitTable
from pamdi_ros.simulation.faults import Faults
from pamdi_ros.worker.task import ItemKey

#: Gives the time of one unit of an item in place of the worker's speed: (chance, item, unit) [s].
Service = Callable[[random.Random, ItemKey, int], float]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One run of the simulator; equal setups give equal runs, to the byte.

    :param fleet: the fleet; its rates are set, its events happen.
    :param tables: unit table of each model in use.
    :param policy: name of the run-time policy.
    :param seed: of all that is left to chance.
    :param seconds: time during which items arrive [s]; the fleet then runs on until it is empty.
    :param faults: what goes wrong beside the fleet file's events.
    :param jitter: coefficient of variation of a unit's time; lognormal, the mean stays.
    :param speeds: true time of a FLOP by worker and model, where it is not the declared or assumed
        one [s/FLOP].
    :param service: gives units' times instead of the workers' speeds; for queueing theory.
    :param trace: recorded arrival times by source [s]; the others' arrivals are drawn.
    :param parameters: the policy's constants; None: the fleet's.
    :param replan: the allocator's constants of re-planning; None: it plans once only.
    :param plan: the assignment to begin with; None: the allocator plans it, which takes a while
        in large fleets.
    :param moves: plans that are moved to, worth it or not: when [s], and the plan.
    :param fusion_gain: time of a session of several units as a share of what they take one by one,
        by worker whose engine makes such sessions; absent: it makes none.
    :param cold: the fleet is started in this run: nobody holds anything, and where only a
        measurement says how fast a worker is, the first plan serves to measure that.
    """

    fleet: Fleet
    tables: Mapping[str, UnitTable]
    policy: str
    seed: int = 0
    seconds: float = 60.0
    faults: Faults = field(default_factory=Faults)
    jitter: float = 0.0
    speeds: Mapping[tuple[str, str], float] = field(default_factory=dict)
    service: Service | None = None
    trace: Mapping[str, Sequence[float]] = field(default_factory=dict)
    parameters: PolicyParameters | None = None
    replan: ReplanParameters | None = field(default_factory=ReplanParameters)
    plan: Plan | None = None
    moves: tuple[tuple[float, Plan], ...] = ()
    fusion_gain: Mapping[str, float] = field(default_factory=dict)
    cold: bool = False
