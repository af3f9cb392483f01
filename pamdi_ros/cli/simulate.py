# SPDX-License-Identifier: Apache-2.0
"""``pamdi simulate FLEET``: policies under a virtual clock, with the code that the robots run."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
import math
import os
from pathlib import Path
from typing import Any, TYPE_CHECKING

from pamdi_ros.cli.json_output import add_json_option, write_json
from pamdi_ros.fleet import ConfigProblem, Fleet, FleetError, load_fleet, MISSING
from pamdi_ros.fleet.planning_threads import plan_on_one_thread
from pamdi_ros.fleet.policy import POLICIES

if TYPE_CHECKING:
    from pamdi_ros.models.units import UnitTable
    from pamdi_ros.simulation.setup import Setup
    from rich.console import Console

ALL = 'all'
#: A load above this was meant as per cent.
LARGEST_LOAD = 10.0
#: A terminal narrower than this gets a table with fewer columns [characters].
WIDE = 110

#: Summary by policy, by load; the load is None where the fleet's own rates were run.
Outcome = Mapping[float | None, Mapping[str, dict[str, Any]]]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``pamdi simulate`` to the command line."""
    parser = subparsers.add_parser(
        'simulate',
        help='compare policies on a simulated fleet',
        description=(
            'Run a fleet under a virtual clock, with the very state machines that the executors '
            'run, and show what each policy makes of it. Exit code 0: well, 1: a failure, '
            '2: bad input.'
        ),
        epilog=(
            'example: pamdi simulate config/scenarios/s1.yaml --policy pa_mdi_plus ms_mdi '
            '--load 0.5 0.8 0.95 --seed 1 2 3 --plot figures'
        ),
    )
    parser.add_argument('fleet', metavar='FLEET', help='the fleet file, such as fleet.yaml')
    parser.add_argument(
        '--policy', nargs='+', metavar='P', choices=[*POLICIES, ALL],
        help=f'{", ".join(POLICIES)}, or all; default: the one that the fleet file names',
    )  # fmt: skip
    parser.add_argument(
        '--load', nargs='+', type=load_argument, metavar='R',
        help='load of the fleet, 1.0 = every worker busy: sets the rates of the sources that '
        'have a load_share',
    )  # fmt: skip
    parser.add_argument(
        '--seconds', type=positive, default=60.0, metavar='S',
        help='time during which items arrive (default 60)',
    )  # fmt: skip
    parser.add_argument(
        '--seed', nargs='+', type=int, default=[1], metavar='N',
        help='seeds of the arrivals; the numbers are means over them (default 1)',
    )  # fmt: skip
    parser.add_argument(
        '--set', nargs='+', default=[], metavar='NAME=VALUE', dest='settings',
        help='parameters of the policy in place of the fleet file’s, such as preemption=false',
    )  # fmt: skip
    parser.add_argument('--plot', metavar='DIR', help='write figures, PNG and SVG, to DIR')
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Simulate what the command line names.

    :returns: 0; bad input raises FleetError
    """
    plan_on_one_thread(os.environ)
    fleet = _with_settings(load_fleet(args.fleet), args.settings)
    tables = unit_tables(fleet, args.fleet)
    from pamdi_ros.cli.serve import make_console
    from pamdi_ros.cli.simulate_tables import fleet_table, source_table

    if args.plot:  # what cannot be drawn or written shall not be found out after the runs
        from pamdi_ros.cli.simulate_figures import draw_figures

        directory = Path(args.plot).expanduser()
        directory.mkdir(parents=True, exist_ok=True)

    policies = _policies(args.policy, fleet)
    loads = list(dict.fromkeys(args.load)) if args.load else [None]
    setups = _setups(fleet, tables, policies, loads, args)
    outcome = _outcome(fleet, setups)
    console = make_console(args.json)
    wide = console.width >= WIDE
    for load, by_policy in outcome.items():
        console.print(source_table(fleet, by_policy, load, wide=wide))
        console.print(fleet_table(by_policy, load, wide=wide))
    _print_quanta(console, fleet, tables)
    if args.plot:
        for path in draw_figures(fleet, outcome, directory):
            console.print(f'wrote {path}', markup=False, highlight=False)
    write_json(args.json, plain(outcome))
    return 0


def plain(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome as ``--json`` writes it: by policy, above that by load if several."""
    if len(outcome) == 1:
        return {'policies': next(iter(outcome.values()))}
    return {'loads': {f'{load:g}': {'policies': found} for load, found in outcome.items()}}


def _setups(
    fleet: Fleet,
    tables: Mapping[str, UnitTable],
    policies: Sequence[str],
    loads: Sequence[float | None],
    args: argparse.Namespace,
) -> dict[tuple[float | None, str], list[Setup]]:
    """Return what is to be run, for every load and policy a run of each seed."""
    from pamdi_ros.simulation.load import loaded
    from pamdi_ros.simulation.setup import Setup

    try:
        fleets = {load: loaded(fleet, tables, load) for load in loads}
    except FleetError as error:
        raise FleetError(error.problems, args.fleet) from error
    return {
        (load, policy): [
            Setup(
                fleet=replace(fleets[load], policy=policy),
                tables=tables,
                policy=policy,
                seed=seed,
                seconds=args.seconds,
            )
            for seed in dict.fromkeys(args.seed)
        ]
        for load in loads
        for policy in policies
    }


def _outcome(fleet: Fleet, setups: Mapping[tuple[float | None, str], Sequence[Setup]]) -> Outcome:
    """Run everything, with a progress bar for a person."""
    from pamdi_ros.simulation.batch import run_all
    from pamdi_ros.simulation.summary import add_price, summary
    from rich.console import Console
    from rich.progress import Progress

    flat = [setup for seeds in setups.values() for setup in seeds]
    # No thread of its own redraws it: the runs are forked off this process.
    with Progress(console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task(f'{len(flat)} runs of {flat[0].seconds:g} s', total=1.0)
        done = iter(run_all(flat, lambda share: bar.update(task, completed=share, refresh=True)))
    outcome: dict[float | None, dict[str, dict[str, Any]]] = {}
    for (load, policy), seeds in setups.items():
        outcome.setdefault(load, {})[policy] = summary([next(done) for _ in seeds])
    for by_policy in outcome.values():
        add_price(by_policy, fleet.priority_classes[-1].name)
    return outcome


def _policies(asked: Sequence[str] | None, fleet: Fleet) -> list[str]:
    if not asked:
        return [fleet.policy]
    return list(POLICIES) if ALL in asked else list(dict.fromkeys(asked))


def _with_settings(fleet: Fleet, settings: Sequence[str]) -> Fleet:
    """Return the fleet with policy parameters changed.

    :raises FleetError: no such parameter, or not with such a value
    """
    if not settings:
        return fleet
    from pamdi_ros.fleet.build import flops_within
    from pamdi_ros.fleet.frozen import FrozenDict
    from pamdi_ros.fleet.policy import policy_parameters
    import yaml

    values = dict(fleet.policy_parameters)
    problems = []
    for setting in settings:
        name, _, text = setting.partition('=')
        try:
            value = yaml.safe_load(text)
            policy_parameters({name: value})
            values[name] = value
        except (ValueError, yaml.YAMLError) as error:
            problems.append(
                ConfigProblem(
                    path=f'--set {setting}',
                    value=MISSING,
                    message=str(error),
                    remedy='write NAME=VALUE, such as preemption=false',
                )
            )
    if problems:
        raise FleetError(problems, 'command line')
    quantum_s = policy_parameters(values).quantum_s
    speeds = [worker.seconds_per_flop for worker in fleet.workers.values()]
    models = {
        name: replace(model, unit_flops=flops_within(quantum_s, speeds))
        for name, model in fleet.models.items()
    }
    return replace(fleet, policy_parameters=FrozenDict(values), models=FrozenDict(models))


def unit_tables(fleet: Fleet, fleet_file: str) -> dict[str, UnitTable]:
    """Return the units of every model that a source uses.

    :raises FleetError: models that cannot be built
    """
    from pamdi_ros.models.build.catalog import unit_table

    tables, problems = {}, []
    for name in dict.fromkeys(source.model for source in fleet.sources.values()):
        try:
            tables[name] = unit_table(fleet.models[name].as_mapping())
        except ValueError as error:
            remedy = 'correct the model as the message says'
            problems.append(
                ConfigProblem(path=f'models.{name}', value=name, message=str(error), remedy=remedy)
            )
    if problems:
        raise FleetError(problems, fleet_file)
    return tables


def _print_quanta(console: Console, fleet: Fleet, tables: Mapping[str, UnitTable]) -> None:
    """Say how long an urgent item may wait for a unit that runs already."""
    from pamdi_ros.models.granularity import largest_quantum

    slowest = max(fleet.workers.values(), key=lambda worker: worker.expected_seconds_per_flop)
    quanta = []
    for name, table in tables.items():
        unit, time_s = largest_quantum(table, slowest.expected_seconds_per_flop)
        quanta.append(f'{name} {1e3 * time_s:.1f} ms ({unit})')
    text = f'Longest unit, on the slowest worker, {slowest.name}: {", ".join(quanta)}'
    console.print(text, markup=False, highlight=False)


def load_argument(text: str) -> float:
    """Read a load from the command line."""
    load = positive(text)
    if load > LARGEST_LOAD:
        raise argparse.ArgumentTypeError(f'{text}: give a share, such as {load / 100:g}')
    return load


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f'{text!r} is no number above 0')
    return value
