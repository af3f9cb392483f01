# SPDX-License-Identifier: Apache-2.0
"""``pamdi check FLEET``: is the fleet file right, and if not, what is to be changed."""

from __future__ import annotations

import argparse
import sys
from typing import Any, TYPE_CHECKING

from pamdi_ros.cli.json_output import add_json_option, text_stream, write_json
from pamdi_ros.fleet import check_memory, ConfigProblem, Fleet, FleetError, load_fleet, MISSING
from pamdi_ros.fleet.problems import shown
from pamdi_ros.optional import require

if TYPE_CHECKING:
    from pamdi_ros.models.units import UnitTable


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``pamdi check`` to the command line."""
    parser = subparsers.add_parser(
        'check',
        help='check a fleet file and print all its problems',
        description=(
            'Check a fleet file against the schema and itself. Prints OK and a summary, or every '
            'problem with its remedy. Exit code 0: the file is right, 2: it is not.'
        ),
        epilog='example: pamdi check config/demo.yaml --models',
    )
    parser.add_argument('fleet', metavar='FLEET', help='the fleet file, such as fleet.yaml')
    parser.add_argument(
        '--models',
        action='store_true',
        help='build every model too (slow the first time) and check that the memory can hold it',
    )
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Check the file that the command line names.

    :returns: 0 the file is right, 2 it is not
    """
    tables: dict[str, UnitTable] = {}
    try:
        fleet = load_fleet(args.fleet)
        if args.models:
            tables = _unit_tables(fleet, args.fleet)
    except FleetError as error:
        print(error, file=sys.stderr)
        write_json(args.json, {'ok': False, 'problems': [_plain(p) for p in error.problems]})
        return 2
    outcome = _outcome(fleet, tables)
    print(_summary(outcome), file=text_stream(args.json))
    write_json(args.json, outcome)
    return 0


def _unit_tables(fleet: Fleet, source: str) -> dict[str, UnitTable]:
    """Units of every model of a fleet.

    :raises FleetError: models that cannot be built or that the memory cannot hold
    """
    from pamdi_ros.models.build.catalog import unit_table

    require('torch', 'torchvision', 'safetensors')  # or every model would be blamed
    tables, problems = {}, []
    for name, model in fleet.models.items():
        print(f'building {name} …', file=sys.stderr)
        try:
            tables[name] = unit_table(model.as_mapping())
        except ValueError as error:
            remedy = 'correct the model as the message says'
            problems.append(
                ConfigProblem(path=f'models.{name}', value=name, message=str(error), remedy=remedy)
            )
    problems += check_memory(fleet, tables)
    if problems:
        raise FleetError(problems, source)
    return tables


def _outcome(fleet: Fleet, tables: dict[str, UnitTable]) -> dict[str, Any]:
    """Return what is known of a good fleet, as ``--json`` writes it."""
    return {
        'ok': True,
        'problems': [],
        'fleet': fleet.name,
        'policy': fleet.policy,
        'priority_classes': [priority_class.name for priority_class in fleet.priority_classes],
        'workers': {
            name: {'memory_mb': None if worker.memory_bytes is None else worker.memory_bytes / 1e6}
            for name, worker in fleet.workers.items()
        },
        'models': {name: _model_facts(name, tables) for name in fleet.models},
        'sources': {
            name: {
                'worker': source.worker,
                'topic': source.topic,
                'type': source.type,
                'model': source.model,
                'priority': source.priority,
                'rate_hz': source.rate_hz,
            }
            for name, source in fleet.sources.items()
        },
    }


def _model_facts(name: str, tables: dict[str, UnitTable]) -> dict[str, Any]:
    if name not in tables:
        return {}
    table = tables[name]
    return {
        'units': len(table),
        'weights_mb': table.weight_bytes(0, len(table)) / 1e6,
        'gflop': table.flops(0, len(table)) / 1e9,
    }


def _summary(outcome: dict[str, Any]) -> str:
    """Outcome of a good fleet as lines to read."""
    counts = ', '.join(
        f'{len(outcome[section])} {section if len(outcome[section]) != 1 else section[:-1]}'
        for section in ('workers', 'sources', 'models')
    )
    lines = [f'OK: fleet {outcome["fleet"]}, {counts}, policy {outcome["policy"]}']
    for name, worker in outcome['workers'].items():
        memory_mb = worker['memory_mb']
        lines.append(f'  worker {name}: {f"{memory_mb:g} MB" if memory_mb else "any memory"}')
    for name, source in outcome['sources'].items():
        rate_hz = source['rate_hz']
        rate = f'{rate_hz:g} Hz, ' if rate_hz else ''
        lines.append(
            f'  source {name}: {rate}{source["priority"]}, {source["topic"]} at '
            f'{source["worker"]} -> {source["model"]}'
        )
    for name, facts in outcome['models'].items():
        if facts:
            lines.append(
                f'  model {name}: {facts["units"]} units, {facts["weights_mb"]:.1f} MB, '
                f'{facts["gflop"]:.2f} GFLOP'
            )
    return '\n'.join(lines)


def _plain(problem: ConfigProblem) -> dict[str, Any]:
    """Problem as JSON has it: a value that JSON has no words for becomes a text."""
    value = None if problem.value is MISSING else problem.value
    if not isinstance(value, (str, bool, int, type(None))):
        value = shown(value, limit=200)
    return {
        'path': problem.path,
        'value': value,
        'message': problem.message,
        'remedy': problem.remedy,
        'line': problem.line,
    }
