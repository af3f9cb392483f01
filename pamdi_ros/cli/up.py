# SPDX-License-Identifier: Apache-2.0
"""``pamdi up FLEET``: run all nodes of a fleet on this machine, without ros2 launch."""

from __future__ import annotations

import argparse
from pathlib import Path
import tempfile

from pamdi_ros.cli.json_output import add_json_option, write_json
from pamdi_ros.fleet import load_fleet


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``pamdi up`` to the command line."""
    parser = subparsers.add_parser(
        'up',
        help='run all nodes of a fleet on this machine',
        description=(
            'Run the allocator, every executor and the monitor of a fleet as processes of this '
            'machine and show sources and workers until Ctrl-C. Your sensors publish as usual. '
            'Exit code 0: all went well, 1: a node died or the fleet did not come up, 2: bad '
            'fleet file.'
        ),
        epilog='example: pamdi up config/demo.yaml --seconds 60 --json run.json',
    )
    parser.add_argument('fleet', metavar='FLEET', help='the fleet file, such as fleet.yaml')
    parser.add_argument(
        '--seconds', type=positive, metavar='S', help='stop after S seconds of serving'
    )
    parser.add_argument('--respawn', action='store_true', help='start a node again when it dies')
    parser.add_argument(
        '--no-monitor',
        dest='monitor',
        action='store_false',
        help='leave out the monitor, which tells /diagnostics what is amiss with the fleet',
    )
    parser.add_argument(
        '--logs', metavar='DIR', help="directory for the nodes' logs; default: a new one in /tmp"
    )
    parser.add_argument(
        '--record', type=Path, metavar='FILE',
        help='write what the fleet says to FILE (JSON lines), for `pamdi report FILE`',
    )  # fmt: skip
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Run the fleet that the command line names."""
    fleet = load_fleet(args.fleet)  # before anything heavy: a bad file answers at once
    from pamdi_ros.cli.serve import CannotStart, die_with_parent, make_console, ServedRun
    from pamdi_ros.cli.summary import source_table, worker_table

    die_with_parent()
    if args.record is not None:
        args.record.touch()  # what cannot be written shall be found out before the work
    console = make_console(args.json)
    logs = Path(args.logs or tempfile.mkdtemp(prefix='pamdi_up_'))
    console.print(f'{fleet.name}: starting {len(fleet.workers)} executors and the allocator; '
                  f'logs in {logs}; Ctrl-C ends it', markup=False)  # fmt: skip
    job = ServedRun(
        fleet=fleet,
        fleet_file=args.fleet,
        seconds=args.seconds,
        respawn=args.respawn,
        monitor=args.monitor,
        log_directory=logs,
        record=args.record,
        console=console,
    )
    try:
        summary, _ = job.serve()
    except CannotStart as error:
        console.print(f'pamdi up: {error}; see the logs in {logs}', markup=False, style='red')
        return 1
    console.print(source_table(summary), worker_table(summary['workers'], {}))
    write_json(args.json, summary)
    return 1 if job.gone else 0


def positive(text: str) -> float:
    """Read a number of seconds above zero."""
    value = float(text)
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not a positive number of seconds')
    return value
