# SPDX-License-Identifier: Apache-2.0
"""``pamdi demo``: a fleet of three on this machine, with sensors, and a report of what it did."""

from __future__ import annotations

import argparse
from pathlib import Path
import sys

from pamdi_ros.cli.json_output import add_json_option, write_json
from pamdi_ros.cli.up import positive
from pamdi_ros.fleet import load_fleet
from pamdi_ros.fleet.resources import config_path
from pamdi_ros.optional import require

#: Items of each source sent while nothing else runs: they give its solo latency.
SOLO_ITEMS = 10
#: Share of the accepted items that must be answered for the demo to count as well.
WANTED_SHARE = 0.95


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``pamdi demo`` to the command line."""
    parser = subparsers.add_parser(
        'demo',
        help='run a fleet with simulated sensors here and write a report',
        description=(
            'Run three executors, an allocator and the sensors of config/demo.yaml on this '
            'machine: a camera that replays photographs, a ray-cast lidar, sentences. First '
            'every source alone, for its solo latency, then all together. Writes report.json, '
            'report.png, and recording.jsonl for `pamdi report`. Exit code 0: over 95 % of the '
            'items were answered.'
        ),
        epilog='example: pamdi demo --seconds 30 --out /tmp/demo_report',
    )
    parser.add_argument('--seconds', type=positive, default=20.0, metavar='S',
                        help='time of serving all sources together (default 20)')  # fmt: skip
    parser.add_argument('--fleet', metavar='FLEET', help='another fleet file')
    parser.add_argument('--out', default='demo_report', metavar='DIR',
                        help='directory of the report (default demo_report)')  # fmt: skip
    parser.add_argument('--seed', type=int, default=0, help='of the simulated sensors')
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Run the demo."""
    fleet_file = args.fleet or str(config_path('demo.yaml'))
    fleet = load_fleet(fleet_file)
    require('pamdi_ros.demo', 'cv2', 'skimage')  # the sensors run in a process of their own
    from pamdi_ros.cli.figure import draw_report
    from pamdi_ros.cli.serve import CannotStart, die_with_parent, make_console, ServedRun
    from pamdi_ros.cli.summary import answered_share, explain_missing, source_table, worker_table
    from pamdi_ros.recording.read import LINES_NAME
    from pamdi_ros.supervisor import Child

    die_with_parent()
    console = make_console(args.json)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    console.print(
        f'{fleet.name}: {len(fleet.workers)} workers, {len(fleet.sources)} sources from '
        f'{fleet_file}; the first run builds the models, which takes up to a minute',
        markup=False,
    )
    sensors = Child(
        'sensors',
        (
            sys.executable, '-m', 'pamdi_ros.demo.sensor_node', '--fleet', fleet_file,
            '--seed', str(args.seed), '--solo', str(SOLO_ITEMS),
        ),
    )  # fmt: skip
    job = ServedRun(
        fleet=fleet,
        fleet_file=fleet_file,
        seconds=args.seconds,
        log_directory=out / 'logs',
        console=console,
        sensors=[sensors],
        solo_items=SOLO_ITEMS,
        record=out / LINES_NAME,
    )
    try:
        summary, tally = job.serve()
    except CannotStart as error:
        console.print(f'pamdi demo: {error}; logs: {out / "logs"}', markup=False, style='red')
        return 1
    write_json(str(out / 'report.json'), summary)
    draw_report(fleet, tally, summary, SOLO_ITEMS, out / 'report.png')
    console.print(source_table(summary), worker_table(summary['workers'], {}))
    share = answered_share(summary)
    console.print(
        f'{100 * share:.1f} % of the items answered; report: {out / "report.json"}, '
        f'{out / "report.png"}; as a page: pamdi report {out}',
        markup=False,
        highlight=False,
    )
    write_json(args.json, summary)
    if share > WANTED_SHARE and not job.gone:
        return 0
    for sentence in explain_missing(summary):
        console.print(sentence, style='red', markup=False)
    return 1
