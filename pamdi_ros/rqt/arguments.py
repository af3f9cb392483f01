# SPDX-License-Identifier: Apache-2.0
"""Arguments that the plugin and its own window understand alike."""

from __future__ import annotations

from typing import Any


def arguments(parser: Any) -> Any:
    """Add them to a parser or a group of one, and give it back."""
    parser.add_argument(
        '--fleet',
        metavar='NAMESPACE',
        default='',
        help='absolute namespace of the fleet, such as /warehouse; default: the first found',
    )
    return parser
