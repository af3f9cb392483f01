# SPDX-License-Identifier: Apache-2.0
"""``pamdi top [FLEET]``: a running fleet in the terminal, over ssh as well."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING

from pamdi_ros.cli.json_output import add_json_option, write_json
from pamdi_ros.cli.up import positive
from pamdi_ros.fleet import fleet_prefix, load_fleet

if TYPE_CHECKING:
    from pamdi_ros.monitor.view import FleetView
    from pamdi_ros.nodes.monitor.fleet_feed import FleetFeed
    from rich.console import Console, Group

KEYS = 'q quits'
KEYS_OF_SEVERAL = 'q quits   f: the next of {} fleets'
#: Without a terminal to redraw, a whole picture now and then [s].
PICTURE_PERIOD_S = 5.0
POLL_S = 0.1


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``pamdi top`` to the command line."""
    parser = subparsers.add_parser(
        'top',
        help='watch a running fleet: sources, workers, links, alerts',
        description=(
            'Show sources, workers, links and alerts of a running fleet, until q or Ctrl-C. '
            'Without FLEET, the first fleet that is found. Where there is no terminal, a picture '
            f'every {PICTURE_PERIOD_S:g} s. Exit code 0: well, 1: --once and no fleet was heard, '
            '2: bad input.'
        ),
        epilog='example: pamdi top config/demo.yaml --once --json -',
    )
    parser.add_argument('fleet', metavar='FLEET', nargs='?', help='the fleet file')
    parser.add_argument(
        '--namespace', default='', metavar='NS', help="put before the fleet's, as at its launch"
    )
    parser.add_argument(
        '--period', type=positive, default=0.5, metavar='S', help='redraw every S s; default 0.5'
    )
    parser.add_argument(
        '--once', action='store_true', help='print one picture; --json alone means this too'
    )
    parser.add_argument(
        '--seconds',
        type=positive,
        default=8.0,
        metavar='S',
        help='with --once: wait S seconds at most for all that is expected; default 8',
    )
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Watch the fleet.

    :returns: 0 well, 1 no fleet was heard where one picture was asked for.
    """
    fleet = load_fleet(args.fleet) if args.fleet else None
    from pamdi_ros.cli.serve import make_console
    from pamdi_ros.nodes.monitor.fleet_feed import FleetFeed

    console = make_console(args.json)
    prefix = '' if fleet is None else fleet_prefix(fleet, args.namespace)
    feed = FleetFeed(prefix, fleet=fleet).start()
    try:
        if args.once or args.json:
            return _show_once(feed, console, args.seconds, args.json)
        _watch(feed, console, args.period)
        return 0
    finally:
        feed.close()


def _show_once(feed: FleetFeed, console: Console, seconds: float, json_target: str | None) -> int:
    """Print one picture, as soon as everything is heard."""
    from pamdi_ros.cli.terminal import watched_keys
    from pamdi_ros.cli.top_json import outcome

    end_s = time.monotonic() + seconds
    with watched_keys() as keys:
        while not keys.stopped and time.monotonic() < end_s and not _complete(feed.snapshot()):
            keys.wait(POLL_S)
    view = feed.snapshot()
    console.print(_picture(feed, view, console.width, None, ''))
    told = outcome(view)
    write_json(json_target, told)
    return 0 if told['heard'] else 1


def _complete(view: FleetView) -> bool:
    """Tell whether all that is expected has been heard."""
    return (
        bool(view.workers)
        and bool(view.epoch)
        and all(worker.heard_s is not None for worker in view.workers.values())
        and all(source.heard_s is not None for source in view.sources.values())
    )


def _watch(feed: FleetFeed, console: Console, period_s: float) -> None:
    """Redraw until a person has seen enough."""
    from pamdi_ros.cli.terminal import watched_keys
    from rich.live import Live

    if not console.is_terminal:
        _print_now_and_then(feed, console)
        return
    # Live inside: the signals' handlers stand until the screen is restored.
    with (
        watched_keys() as keys,
        Live(console=console, screen=True, auto_refresh=False, vertical_overflow='crop') as live,
    ):
        while not keys.stopped:
            fleets = feed.fleets()
            told = KEYS_OF_SEVERAL.format(len(fleets)) if len(fleets) > 1 else KEYS
            view = feed.snapshot()
            picture = _picture(feed, view, console.width, console.height, told)
            live.update(picture, refresh=True)
            key = keys.wait(period_s)
            if key == 'q':
                return
            if key == 'f' and fleets:
                feed.follow(_next(fleets, view.name))


def _print_now_and_then(feed: FleetFeed, console: Console) -> None:
    """Print pictures below each other, where nothing can be redrawn."""
    from pamdi_ros.cli.terminal import watched_keys

    with watched_keys() as keys:
        keys.wait(1.0)
        while not keys.stopped:
            console.print(_picture(feed, feed.snapshot(), console.width, None, ''))
            sys.stdout.flush()
            if keys.wait(PICTURE_PERIOD_S) == 'q':
                return


def _picture(feed: FleetFeed, view: FleetView, width: int, height: int | None, keys: str) -> Group:
    from pamdi_ros.cli.top_screen import screen

    domain = os.environ.get('ROS_DOMAIN_ID') or '0'
    return screen(view, width, height, fleets=feed.fleets(), domain=domain, keys=keys)


def _next(fleets: tuple[str, ...], name: str) -> str:
    """Namespace of the fleet after the one of that name."""
    names = [prefix.rpartition('/')[2] for prefix in fleets]
    return fleets[(names.index(name) + 1) % len(fleets)] if name in names else fleets[0]
