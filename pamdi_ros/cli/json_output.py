# SPDX-License-Identifier: Apache-2.0
"""The ``--json`` option that every command has: a file, or - for standard output."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import sys
from typing import TextIO

STANDARD_OUTPUT = '-'


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Give a command its ``--json FILE`` option, as ``args.json``."""
    parser.add_argument(
        '--json',
        metavar='FILE',
        help='write the outcome as JSON to FILE; - prints it instead of the text',
    )


def text_stream(json_target: str | None) -> TextIO:
    """Stream for a command's text: standard error where standard output carries the JSON."""
    return sys.stderr if json_target == STANDARD_OUTPUT else sys.stdout


def write_json(json_target: str | None, outcome: object) -> None:
    """Write an outcome where ``--json`` asks for it.

    :param json_target: file, ``-`` for standard output, None: nowhere
    :raises OSError: the file cannot be written
    """
    if json_target is None:
        return
    text = json.dumps(outcome, indent=2, default=repr, allow_nan=False) + '\n'
    if json_target == STANDARD_OUTPUT:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        Path(json_target).expanduser().write_text(text, encoding='utf-8')
