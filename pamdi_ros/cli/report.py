# SPDX-License-Identifier: Apache-2.0
"""``pamdi report RECORDING``: one HTML page of a recorded run."""

from __future__ import annotations

import argparse
from pathlib import Path
import sys

from pamdi_ros.optional import require


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``pamdi report`` to the command line."""
    parser = subparsers.add_parser(
        'report',
        help='make one HTML page of a recorded run',
        description=(
            'Make one HTML page of a recorded run that opens without a network: latencies, the '
            'run over time, the way of single items, utilisation, drops, numbers. RECORDING is a '
            'rosbag2 directory (SQLite or MCAP), one of its files, the directory of `pamdi demo`, '
            'or what --record or --json wrote. Needs no ROS. Exit code 0: written, 1: a failure, '
            '2: the recording cannot be read.'
        ),
        epilog='example: pamdi report demo_report --out run.html',
    )
    parser.add_argument('recording', metavar='RECORDING', help='file or directory of the run')
    parser.add_argument(
        '--out', metavar='F.html', help='page to write (default: RECORDING.html, beside it)'
    )
    parser.add_argument(
        '--fleet', metavar='FLEET', help='name or namespace, where several fleets were recorded'
    )


def run(args: argparse.Namespace) -> int:
    """Make the report that the command line asks for."""
    require('plotly')  # missed now or after reading for minutes
    from pamdi_ros.recording import read_recording, RecordingError

    path = Path(args.recording)
    try:
        recording = read_recording(path, args.fleet)
    except RecordingError as error:
        print(f'pamdi report: {error}', file=sys.stderr)
        return 2
    from pamdi_ros.report.build import report_html

    out = Path(args.out).expanduser() if args.out else beside(path)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(report_html(recording), encoding='utf-8')
    items = sum(source.answered for source in recording.sources.values())
    print(
        f'{recording.fleet}: {len(recording.sources)} sources, {len(recording.workers)} workers, '
        f'{items} results in {recording.duration_s:.0f} s; wrote {out} '
        f'({out.stat().st_size / 1e6:.1f} MB)'
    )
    return 0


def beside(path: Path) -> Path:
    """Return the page's name where none is asked for: never one inside the recording."""
    full = path.expanduser().resolve()
    return full.parent / f'{full.name if full.is_dir() else full.stem}.html'
