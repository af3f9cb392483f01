# SPDX-License-Identifier: Apache-2.0
"""Messages for tests without ROS: namespaces with the fields of msg/*.msg."""

from __future__ import annotations

import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

MSG = Path(__file__).resolve().parents[2] / 'msg'


def header(stamp_s: float = 0.0) -> SimpleNamespace:
    """Return a header with a stamp [s]."""
    sec = int(stamp_s // 1)
    return SimpleNamespace(
        stamp=SimpleNamespace(sec=sec, nanosec=round(1e9 * (stamp_s - sec))), frame_id=''
    )


def message(kind: str, **fields: Any) -> SimpleNamespace:
    """Return a message with every field of ``msg/<kind>.msg``, zero or empty unless told.

    :raises ValueError: a field is none of that message.
    """
    made = {name: _empty(type_) for name, type_ in _fields(kind).items()}
    if strange := fields.keys() - made.keys():
        raise ValueError(f'{kind} has no {", ".join(sorted(strange))}')
    return SimpleNamespace(**(made | fields))


@functools.cache
def _fields(kind: str) -> dict[str, str]:
    lines = (MSG / f'{kind}.msg').read_text(encoding='utf-8').splitlines()
    words = [line.partition('#')[0].split() for line in lines]
    return {pair[1]: pair[0] for pair in words if len(pair) == 2}


def _empty(kind: str) -> Any:
    if kind.endswith(']'):
        return []
    if kind == 'std_msgs/Header':
        return header()
    if kind == 'string':
        return ''
    return False if kind == 'bool' else 0.0 if kind.startswith('float') else 0


def diagnostic(
    name: str, level: int = 0, text: str = '', hardware_id: str = '', **values: str
) -> SimpleNamespace:
    """Return a DiagnosticStatus, its level a byte as in rclpy."""
    return SimpleNamespace(
        name=name,
        level=bytes([level]),
        message=text,
        hardware_id=hardware_id,
        values=[SimpleNamespace(key=key, value=value) for key, value in values.items()],
    )


def diagnostics(*statuses: SimpleNamespace) -> SimpleNamespace:
    """Return a DiagnosticArray."""
    return SimpleNamespace(header=header(), status=list(statuses))
