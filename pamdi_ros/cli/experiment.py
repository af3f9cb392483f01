# SPDX-License-Identifier: Apache-2.0
"""``pamdi experiment NAME``: the numbers and figures behind the claims, made anew."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
import os
from pathlib import Path
import shlex
import sys
import time
from typing import TYPE_CHECKING

from pamdi_ros.cli.simulate import positive
from pamdi_ros.fleet import ConfigProblem, FleetError
from pamdi_ros.fleet.planning_threads import plan_on_one_thread

if TYPE_CHECKING:
    from pamdi_ros.experiments.report import ExperimentReport
    from pamdi_ros.experiments.size import Size

ALL = 'all'
#: Compares with real processes, whatever the options.
CALIBRATION = 'calibration'
OUT = 'experiments'


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``pamdi experiment`` to the command line."""
    parser = subparsers.add_parser(
        'experiment',
        help='reproduce the experiments: raw numbers, tables, figures',
        description=(
            'Run an experiment under the simulator and write raw JSON, a Markdown summary, '
            'figures (PNG and SVG) and the fleet files that it used. NAME is baselines, '
            'priorities, scale, dynamics, models, ablation or calibration, or all. Calibration '
            'compares the simulator with real processes, which needs ROS 2. Exit code 0: well, '
            '1: a failure, 2: bad input.'
        ),
        epilog='example: pamdi experiment baselines --quick --out results',
    )
    parser.add_argument('name', metavar='NAME', help='an experiment, or all')
    parser.add_argument(
        '--quick', action='store_true', help='fewer cases, seeds and seconds: for a first look'
    )
    parser.add_argument(
        '--real', action='store_true',
        help='real processes instead of the simulator, every worker in a network namespace with '
        'its own address behind a switch, bandwidth by tc; needs Linux, root and ROS 2; computing '
        'is emulated; fewer cases, as a second takes a second',
    )  # fmt: skip
    parser.add_argument(
        '--seconds', type=positive, metavar='S',
        help='time during which items arrive in a run, instead of that of the size',
    )  # fmt: skip
    parser.add_argument(
        '--seed',
        nargs='+',
        type=int,
        metavar='N',
        help='seeds of the arrivals, instead of those of the size',
    )
    parser.add_argument(
        '--out', metavar='DIR', default=OUT,
        help=f'where to write, a directory below it for each experiment (default {OUT})',
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run what the command line names.

    :returns: 0; 1 where a real fleet did not come up; a wrong name or directory, or a user or
        machine that cannot make networks, raises FleetError
    """
    plan_on_one_thread(os.environ)
    names = _names(args.name, real=args.real)
    from pamdi_ros.experiments import size as sizes
    from pamdi_ros.testbed import namespace_sandbox as enclosure
    from pamdi_ros.testbed.network import can_delay, CannotRun

    if args.real or CALIBRATION in names:
        import pamdi_ros.testbed.runs  # noqa: F401 - ROS 2 is missed now or after an hour
    size = sizes.QUICK if args.quick else sizes.FULL
    if args.real and not enclosure.is_inside():
        enclosure.check('--real')
        _refuse_hidden(args.out, enclosure.OWN_DIRECTORIES)
        return enclosure.run_inside([sys.executable, '-m', 'pamdi_ros.cli.main', *_words(args)])
    if args.real:
        enclosure.settle_in()
        latency = 'links with' if can_delay() else 'links without'
        network = f'each worker in a network namespace, {latency} latency'
        size = replace(size, real=True, network=network)
    if args.seconds:
        size = replace(size, seconds=args.seconds)
    if args.seed:
        size = replace(size, seeds=tuple(dict.fromkeys(args.seed)))
    directories = {name: _directory(args.out, name) for name in names}
    for name, directory in directories.items():
        try:
            _run(name, size, directory, shlex.join(['pamdi', *_words(args, name)]))
        except CannotRun as error:
            print(f'pamdi experiment {name}: {error}', file=sys.stderr)
            return 1
    return 0


def _run(name: str, size: Size, directory: Path, command: str) -> None:
    """Run one experiment and write what it gives."""
    from pamdi_ros.cli.serve import make_console
    from pamdi_ros.experiments.catalog import experiment
    from pamdi_ros.experiments.writing import Origin, write
    from rich.console import Console
    from rich.progress import Progress

    started = datetime.now(timezone.utc).isoformat(timespec='seconds')
    began_s = time.perf_counter()
    # No thread of its own redraws it: the runs are forked off this process.
    with Progress(console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task(name, total=1.0)
        found = experiment(name).run(
            size, lambda share: bar.update(task, completed=share, refresh=True)
        )
    origin = Origin(command=command, started=started, wall_s=time.perf_counter() - began_s)
    paths = write(found, size, origin, directory)
    console = make_console(None)
    for text in _told(found, origin.wall_s, paths, directory):
        console.print(text, markup=False, highlight=False)


def _told(
    found: ExperimentReport, wall_s: float, paths: Sequence[Path], directory: Path
) -> list[str]:
    """What a person reads: the findings, and where the rest is."""
    return [
        f'{found.name}: {len(found.runs)} runs, {wall_s:.0f} s',
        *(f'  {sentence}' for sentence in found.findings),
        f'  wrote {len(paths)} files to {directory}; begin with {found.name}.md',
    ]


def _names(asked: str, *, real: bool) -> list[str]:
    """Experiments that a name stands for.

    :param real: only those that can run as real processes.
    :raises FleetError: it stands for none
    """
    from pamdi_ros.experiments.catalog import EXPERIMENTS, SIMULATED_ONLY

    left_out = SIMULATED_ONLY if real else {}
    if asked == ALL:
        return [name for name in EXPERIMENTS if name not in left_out]
    if asked in left_out:
        message = f'{asked!r} cannot be real: {left_out[asked]}'
        raise _bad('--real', asked, message, 'leave out --real')
    if asked in EXPERIMENTS:
        return [asked]
    message = f'{asked!r} is no experiment'
    raise _bad('NAME', asked, message, f'give one of {", ".join(EXPERIMENTS)}, or all')


def _directory(out: str, name: str) -> Path:
    """Make the directory of an experiment before it runs for minutes.

    :raises FleetError: it cannot be made or written to
    """
    directory = Path(out).expanduser() / name
    probe = directory / '.writable'
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        message = f'cannot be written to: {error.strerror or error}'
        raise _bad('--out', out, message, 'name a directory of yours') from None
    return directory


def _refuse_hidden(out: str, hidden: Sequence[str]) -> None:
    """Refuse a directory that would go with the test network.

    :raises FleetError: it lies below one of these.
    """
    path = Path(out).expanduser().resolve()
    for directory in hidden:
        if path.is_relative_to(directory):
            message = f'lies below {directory}, which a test network has for itself'
            raise _bad('--out', out, message, 'name a directory elsewhere')


def _words(args: argparse.Namespace, name: str = '') -> list[str]:
    """Return the words after ``pamdi`` that repeat this command.

    :param name: one experiment of those asked for; empty: as asked.
    """
    words = ['experiment', name or args.name]
    words += ['--real'] if args.real else []
    words += ['--quick'] if args.quick else []
    words += [] if args.seconds is None else ['--seconds', f'{args.seconds:g}']
    words += [] if args.seed is None else ['--seed', *map(str, args.seed)]
    return [*words, *(['--out', args.out] if args.out != OUT else [])]


def _bad(path: str, value: str, message: str, remedy: str) -> FleetError:
    return FleetError(
        [ConfigProblem(path=path, value=value, message=message, remedy=remedy)], 'command line'
    )
