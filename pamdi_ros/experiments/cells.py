# SPDX-License-Identifier: Apache-2.0
"""Cells of an experiment: one combination of its factors, run once with each seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from pamdi_ros.allocation import Costs, plan_for
from pamdi_ros.allocation.replanning.decision import ReplanParameters
from pamdi_ros.assignment import Plan
from pamdi_ros.experiments.cell import Cell, CellResult, Factors
from pamdi_ros.experiments.fleets import Rig
from pamdi_ros.experiments.interval import Interval, interval
from pamdi_ros.experiments.size import Size
from pamdi_ros.fleet import Fleet, PolicyParameters
from pamdi_ros.models.units import UnitTable
from pamdi_ros.simulation.batch import Progress, read_all
from pamdi_ros.simulation.measures import RunMeasures
from pamdi_ros.simulation.record import Run
from pamdi_ros.simulation.setup import Setup
from pamdi_ros.simulation.summary import summary

#: What tells a cell from the others, such as {'fleet': …, 'policy': …, 'load': …}.
T = TypeVar('T')


Measured: TypeAlias = CellResult[RunMeasures]


def cell(
    factors: Factors,
    fleet: Fleet,
    tables: Mapping[str, UnitTable],
    policy: str,
    size: Size,
    *,
    seconds: float | None = None,
    parameters: PolicyParameters | None = None,
    plan: Plan | None = None,
    rig: Rig | None = None,
) -> Cell:
    """Return a cell of a fleet under a policy.

    :param fleet: its rates are set.
    :param size: gives the seeds, and the length of a run where `seconds` does not [s].
    :param parameters: the policy's constants; None: the fleet's.
    :param plan: assignment to keep; None: one is planned here, once for all seeds, and the
        allocator plans anew where that is due.
    :param rig: that the fleet comes from; real processes need it.
    :raises ValueError: the size is real, and there is no rig.
    """
    if size.real and rig is None:
        raise ValueError(f'{factors}: this cell has no fleet file, so nothing real can run')
    setup = Setup(
        fleet=replace(fleet, policy=policy),
        tables=tables,
        policy=policy,
        seconds=seconds or size.seconds,
        parameters=parameters,
        plan=plan or _planned(policy, fleet, tables, size),
        replan=None if plan else ReplanParameters(),
    )
    setups = tuple(replace(setup, seed=seed) for seed in size.seeds)
    document = rig.running(setup.fleet, parameters) if size.real and rig is not None else None
    return Cell(
        factors=dict(factors), setups=setups, document=document, networked=bool(size.network)
    )


def _planned(
    policy: str, fleet: Fleet, tables: Mapping[str, UnitTable], size: Size
) -> Plan | None:
    """Return the first plan of simulated runs; real allocators make their own."""
    return None if size.real else plan_for(policy, Costs(fleet=fleet, tables=tables), epoch=1)


def run_cells(
    cells: Sequence[Cell],
    reading: Callable[[Run], T],
    progress: Progress | None = None,
    processes: int | None = None,
) -> list[CellResult[T]]:
    """Run all cells; simulated ones as many runs at a time as there are cores.

    :param reading: what is kept of a run.
    """
    if any(one.document is not None for one in cells):
        from pamdi_ros.experiments.measured import run_real  # needs ROS

        return run_real(cells, reading, progress)
    flat = [setup for one in cells for setup in one.setups]
    readings = iter(read_all(flat, reading, progress, processes))
    return [
        CellResult(
            factors=one.factors,
            seeds=tuple(setup.seed for setup in one.setups),
            runs=tuple(next(readings) for _ in one.setups),
        )
        for one in cells
    ]


def choose(found: Sequence[CellResult[T]], **factors: str | float) -> CellResult[T]:
    """Return the one cell that has these factors.

    :raises KeyError: there is none, or more than one.
    """
    matching = [
        one
        for one in found
        if all(one.factors.get(key) == value for key, value in factors.items())
    ]
    if len(matching) != 1:
        raise KeyError(f'{len(matching)} cells have {factors}')
    return matching[0]


def rows(found: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return every run as JSON has it: its factors, its seed, its numbers."""
    return [
        {**one.factors, 'seed': seed, **_known(summary([run]), one.real)}
        for one in found
        for seed, run in zip(one.seeds, one.runs, strict=True)
    ]


def _known(numbers: dict[str, Any], real: bool) -> dict[str, Any]:
    """Leave out what only the simulator counts."""
    if real:
        for name in ('events', 'cpu_s'):
            del numbers[name]
        for worker in numbers['workers'].values():
            del worker['frames_out'], worker['messages_out']
    return numbers


def delay_ms(found: Measured, source: str) -> Interval | None:
    """Mean delay of a source [ms], over the seeds; None where a seed has no result."""
    delays = [run.sources[source].delays for run in found.runs]
    known = [1e3 * delay.mean_s for delay in delays if delay is not None]
    return interval(known) if len(known) == len(delays) else None


def settled(found: Measured, source: str) -> bool:
    """Tell whether a source is stable: in more than half of the runs, as `pamdi simulate` says."""
    return sum(run.sources[source].stable for run in found.runs) > len(found.runs) / 2


def all_settled(found: Measured) -> bool:
    """Tell whether all sources are stable."""
    return all(settled(found, source) for source in found.runs[0].sources)


def reduction(ours: Measured, theirs: Measured, source: str) -> Interval | None:
    """How far our mean delay of a source lies below theirs [%], seed by seed, same arrivals.

    :returns: None where there is no mean to compare: the source is not stable under either, or it
        is slower under theirs while some source of its fleet diverges, as queues that all share
        then end only where depth and lifespan cut them off.
    """
    if not settled(ours, source) or not settled(theirs, source):
        return None
    values = []
    for mine, other in zip(ours.runs, theirs.runs, strict=True):
        my_delays, their_delays = mine.sources[source].delays, other.sources[source].delays
        if my_delays is None or their_delays is None:
            return None
        values.append(100 * (1 - my_delays.mean_s / their_delays.mean_s))
    found = interval(values)
    if found is None or (found.mean > 0 and not all_settled(theirs)):
        return None
    return found
