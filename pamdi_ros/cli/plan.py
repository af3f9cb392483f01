# SPDX-License-Identifier: Apache-2.0
"""``pamdi plan FLEET``: who holds and runs what, how long items will take, what would help."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import Any, TYPE_CHECKING

from pamdi_ros.cli.json_output import add_json_option, write_json
from pamdi_ros.cli.simulate import load_argument, unit_tables
from pamdi_ros.fleet import Fleet, FleetError, load_fleet
from pamdi_ros.fleet.planning_threads import plan_on_one_thread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pamdi_ros.allocation.advice.purchases import Shopping
    from pamdi_ros.allocation.advice.report import PlanReport
    from pamdi_ros.models.units import UnitTable

#: What can be drawn.
SUFFIXES = ('.png', '.svg')
#: Time for trying purchases [s].
PURCHASES_S = 10.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``pamdi plan`` to the command line."""
    parser = subparsers.add_parser(
        'plan',
        help='plan a fleet on paper: placement, routes, latencies, what binds, what to buy',
        description=(
            'Plan a fleet as its allocator would, and predict what it will be like. Exit code '
            '0: well, also where the answer is that the fleet cannot do what is asked (then it '
            'says why, and what would help); 1: a failure; 2: bad input.'
        ),
        epilog='example: pamdi plan config/scenarios/s1.yaml --load 0.8 --plot plan.png',
    )
    parser.add_argument('fleet', metavar='FLEET', help='the fleet file, such as fleet.yaml')
    parser.add_argument(
        '--exact',
        action='store_true',
        help='solve the integer program (small fleets: it may take minutes beyond that)',
    )
    parser.add_argument(
        '--time-limit', type=_seconds, default=60.0, metavar='S',
        help='for --exact [s] (default 60); the best plan found by then is given',
    )  # fmt: skip
    parser.add_argument(
        '--load', type=load_argument, metavar='R',
        help='load of the fleet, 1.0 = every worker busy: sets the rates of the sources that '
        'have a load_share',
    )  # fmt: skip
    parser.add_argument('--plot', metavar='FILE', help='draw the plan to FILE, .png or .svg')
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Plan what the command line names.

    :returns: 0; bad input raises FleetError
    """
    plan_on_one_thread(os.environ)
    target = _plot_target(args.plot)
    fleet = load_fleet(args.fleet)
    tables = unit_tables(fleet, args.fleet)
    fleet = _with_load(fleet, tables, args.load, args.fleet)
    from pamdi_ros.allocation import Costs
    from pamdi_ros.allocation.advice.purchases import purchases
    from pamdi_ros.allocation.advice.report import report_of
    from pamdi_ros.cli.plan_tables import print_report
    from pamdi_ros.cli.serve import make_console
    from pamdi_ros.simulation.predict import predict

    if target is not None:  # what cannot be drawn shall be found out before the work
        from pamdi_ros.cli.plan_figure import draw_plan
    report = report_of(
        Costs(fleet=fleet, tables=tables),
        predict,
        exact=args.exact,
        time_limit_s=args.time_limit,
    )
    bought = purchases(report, predict, PURCHASES_S)
    console = make_console(args.json)
    print_report(console, report, bought)
    if target is not None:
        draw_plan(report, target)
        console.print(f'wrote {target}', markup=False, highlight=False)
    write_json(args.json, plain(report, bought))
    return 0


def plain(report: PlanReport, bought: Shopping) -> dict[str, Any]:
    """Return a report as ``--json`` writes it; what has no finite value is null."""
    solution, fleet = report.solution, report.costs.fleet
    remedy = solution.remedy
    return {
        'objective': _finite(solution.objective),
        'bound': _finite(solution.bound),
        'gap': _finite(solution.gap),
        'seconds': solution.seconds,
        'exact': report.exact,
        'feasible': solution.feasible,
        'reason': solution.reason,
        'remedy': None if remedy is None else remedy.text,
        'binding': list(solution.binding),
        'workers': {name: _worker(report, name) for name in fleet.workers},
        'sources': {name: _source(report, name) for name in fleet.sources},
        'links': [
            {'from': origin, 'to': target, 'utilisation_by_class': _by_class(fleet, use)}
            for (origin, target), use in report.prediction.links.items()
        ],
        'purchases': [
            {
                'what': purchase.text,
                'gain': _finite(purchase.gain),
                'feasible': purchase.feasible,
                'urgent_ms': _ms(purchase.urgent_s),
            }
            for purchase in bought.tried
        ],
        'purchases_tried': len(bought.tried),
        'purchases_possible': bought.possible,
        'urgent_class': report.urgent_class() if fleet.sources else None,
        'urgent_ms': _ms(report.urgent_s()),
    }


def _worker(report: PlanReport, name: str) -> dict[str, Any]:
    fleet = report.costs.fleet
    units: dict[str, list[list[int]]] = {}
    for part in report.plan.partitions(name):
        units.setdefault(part.model, []).append([part.first, part.last])
    bound = fleet.workers[name].memory_bytes
    use = report.prediction.workers[name]
    return {
        'memory_mb': report.memory_bytes(name) / 1e6,
        'memory_bound_mb': None if bound is None else bound / 1e6,
        'utilisation': sum(use),
        'utilisation_by_class': _by_class(fleet, use),
        'units': units,
    }


def _source(report: PlanReport, name: str) -> dict[str, Any]:
    flow = report.solution.nominal(name)
    planned = report.plan.sources[name]
    told = report.prediction.sources.get(name)
    return {
        'priority': planned.priority_class,
        'rate_hz': report.costs.rate_hz(name),
        'route': [
            {'worker': stage.worker, 'first_unit': stage.first, 'last_unit': stage.last}
            for stage in (flow.route if flow is not None else ())
        ],
        'exit_unit': None if flow is None else flow.exit_unit,
        'share': 0.0 if flow is None else flow.share,
        'solo_ms': _ms(report.solo_s(name)),
        'loaded_ms': _ms(report.loaded_s(name)),
        'loaded_error_ms': _ms(report.error_s(name)),
        'shares': {} if told is None else {w: p for w, p in told.shares.items() if p > 1e-3},
        'reason': planned.reason,
    }


def _by_class(fleet: Fleet, use: Sequence[float]) -> dict[str, float]:
    names = (priority.name for priority in fleet.priority_classes)
    return dict(zip(names, use, strict=True))


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _ms(value_s: float | None) -> float | None:
    return None if value_s is None else 1e3 * value_s


def _with_load(
    fleet: Fleet, tables: Mapping[str, UnitTable], load: float | None, file: str
) -> Fleet:
    """Set the rates; without a load, sources that declare none count as one item a second.

    :raises FleetError: shares without a load, or the other way round
    """
    from pamdi_ros.simulation.load import loaded

    shared = any(source.load_share is not None for source in fleet.sources.values())
    if load is None and not shared:
        return fleet
    try:
        return loaded(fleet, tables, load)
    except FleetError as error:
        raise FleetError(error.problems, file) from error


def _plot_target(text: str | None) -> Path | None:
    """Return the file to draw to.

    :raises FleetError: it ends neither in .png nor in .svg
    """
    if text is None:
        return None
    from pamdi_ros.fleet import ConfigProblem

    path = Path(text).expanduser()
    if path.suffix.lower() not in SUFFIXES:
        message = f'no figure can be written as {path.suffix or "a file without an ending"}'
        problem = ConfigProblem(
            path='--plot', value=text, message=message, remedy='end it in .png or .svg'
        )
        raise FleetError([problem], 'command line')
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f'{text!r} is no number above 0')
    return value
