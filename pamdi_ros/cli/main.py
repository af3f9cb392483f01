# SPDX-License-Identifier: Apache-2.0
"""The ``pamdi`` command: finds the subcommand, turns user errors into exit code 2.

A command is a module of this package with ``add_parser(subparsers)`` and ``run(args) -> int``.
It imports what is heavy inside ``run``, so that ``pamdi --help`` is quick and needs no ROS.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import importlib
import os
import sys

from pamdi_ros.fleet import FleetError
from pamdi_ros.optional import explain

# In the order of --help; a new command is one more name.
COMMANDS = (
    'check', 'profile', 'build', 'plan', 'simulate', 'experiment', 'up', 'demo', 'top', 'doctor',
    'report',
)  # fmt: skip

EXIT_FAILURE = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def build_parser() -> argparse.ArgumentParser:
    """Parser of the whole command line; ``args.run`` is the chosen command's function."""
    parser = argparse.ArgumentParser(
        prog='pamdi',
        description='Priority-aware inference shared by a fleet of robots.',
        epilog='example: pamdi check config/demo.yaml',
    )
    subparsers = parser.add_subparsers(title='commands', metavar='COMMAND', required=True)
    for name in COMMANDS:
        command = importlib.import_module(f'pamdi_ros.cli.{name}')
        command.add_parser(subparsers)
        subparsers.choices[name].set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    :param argv: arguments without the program's name; None: those of this process
    :returns: 0 well, 1 a failure at run time, 2 bad input
    """
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed: 0 for --help, 2 for bad arguments
        return stop.code if isinstance(stop.code, int) else EXIT_BAD_INPUT
    try:
        return int(args.run(args))
    except FleetError as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_INPUT
    except BrokenPipeError:
        # The reader, head perhaps, has left; keep Python from complaining as it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    except OSError as error:
        print(f'pamdi: {error}', file=sys.stderr)
        return EXIT_FAILURE
    except ModuleNotFoundError as error:
        print(f'pamdi: {explain(error)}', file=sys.stderr)
        return EXIT_FAILURE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == '__main__':
    sys.exit(main())
