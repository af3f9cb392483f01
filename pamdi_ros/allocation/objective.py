# SPDX-License-Identifier: Apache-2.0
"""What a plan is worth: the one objective that every solver and baseline is measured by.

    Σ_m λ_m Σ_p f_p { α·A(e_p) − γ_m·T_p } − Σ_r Σ_c (γ_c − γ_{c+1})·Φ(ρ_{r,≤c}),  Φ(ρ) = ρ²/(1−ρ)

over the routes p of the sources m and the resources r: workers (Φ) and wires (Ψ, the same
function). Φ(ρ) is the mean number of tasks that wait in an M/M/1 queue of utilisation ρ, so the
second sum is the weighted waiting that a second adds when work is preempted by more urgent work:
behind classes up to c wait those of classes up to c, Φ(ρ_{≤c}) − Φ(ρ_{≤c−1}) of them of class c
itself; γ_c times that, summed by parts, is the sum above.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pamdi_ros.allocation.blocks import BlockExit
from pamdi_ros.allocation.columns import journey, stays_of
from pamdi_ros.allocation.memory import MemoryNeed
from pamdi_ros.allocation.problem import PlacementProblem
from pamdi_ros.allocation.solution import Flow, Flows, Placement
from pamdi_ros.assignment import each_unit, Partition

Array = npt.NDArray[np.float64]

#: Shares add up to 1 within this.
ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What a plan is worth.

    :param objective: −inf where the plan breaks a bound.
    :param reason: which bound; empty: none.
    :param loads: ρ_{r,≤c}, (resources, classes).
    """

    objective: float
    reason: str
    loads: Array


def evaluate(problem: PlacementProblem, placement: Placement, flows: Flows) -> Evaluation:
    """Evaluate a plan.

    :param placement: partitions by worker.
    :param flows: routes and shares by source.
    """
    worth = 0.0
    reasons = list(_memory_reasons(problem, placement))
    loads = np.zeros((problem.resources, len(problem.classes)))
    for number, stream in enumerate(problem.streams):
        found = flows.get(stream.name, ())
        if abs(sum(flow.share for flow in found) - 1.0) > ROUNDING:
            reasons.append(f'not all items of {stream.name} are served')
        for flow in found:
            if not _is_held(placement, stream.model, flow):
                reasons.append(f'{stream.name} runs units where they are not held')
            exit_ = exit_at(problem, stream.model, flow.exit_unit)
            _, item, uses = journey(problem, number, stays_of(problem, flow.route), exit_)
            worth += stream.rate_hz * flow.share * item
            for resource, busy_s in uses:
                loads[resource, stream.rank :] += stream.rate_hz * flow.share * busy_s
    for resource in np.flatnonzero(loads[:, -1] >= 1.0):
        reasons.append(
            f'{resource_name(problem, int(resource))} would be busy for '
            f'{loads[resource, -1]:.0%} of the time'
        )
    value = worth - congestion(problem, loads)
    if reasons or not np.isfinite(value):
        return Evaluation(
            objective=float('-inf'), reason='; '.join(reasons) or 'no way', loads=loads
        )
    return Evaluation(objective=float(value), reason='', loads=loads)


def waiting(load: Array) -> Array:
    """Φ: mean number of tasks that wait at a utilisation; infinite from 1 on."""
    with np.errstate(divide='ignore'):
        return np.where(load < 1.0, load**2 / np.maximum(1.0 - load, 0.0), np.inf)


def congestion(problem: PlacementProblem, loads: Array) -> float:
    """Σ_r Σ_c (γ_c − γ_{c+1})·Φ(ρ_{r,≤c}).

    :param loads: ρ_{r,≤c}, (resources, classes).
    """
    return float((waiting(loads) @ problem.steps).sum())


def exit_at(problem: PlacementProblem, model: str, unit: int) -> BlockExit:
    """Return the exit after so many units.

    :raises ValueError: the model has none there.
    """
    for exit_ in problem.models[model].exits:
        if exit_.unit == unit:
            return exit_
    raise ValueError(f'model {model} has no exit after {unit} units')


def resource_name(problem: PlacementProblem, resource: int) -> str:
    """Name a worker or a wire to a person."""
    workers = problem.workers
    if resource < len(workers):
        return workers[resource]
    wire = resource - len(workers)
    if problem.wires.shared:
        return 'the shared medium'
    if wire < len(workers):
        return f'the network interface of {workers[wire]} (out)'
    return f'the network interface of {workers[wire - len(workers)]} (in)'


def _memory_reasons(problem: PlacementProblem, placement: Placement) -> list[str]:
    reasons = []
    for worker, parts in placement.items():
        needed = MemoryNeed.of(problem.costs.tables, each_unit(parts)).total_bytes
        bound = problem.memory_bytes[problem.number(worker)]
        if needed > bound:
            reasons.append(f'{worker} lacks {(needed - bound) / 1e6:.1f} MB')
    return reasons


def _is_held(placement: Placement, model: str, flow: Flow) -> bool:
    held: Mapping[str, tuple[Partition, ...]] = placement
    return all(
        any(part.covers(model, stage.first, stage.last) for part in held.get(stage.worker, ()))
        for stage in flow.route
    )
