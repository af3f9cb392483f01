# SPDX-License-Identifier: Apache-2.0
"""Definitions of our messages for reading bags: the bag's own, else those of this installation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import os
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

from pamdi_ros.recording.errors import RecordingError
from pamdi_ros.recording.topics import OURS

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.typesys.store import Typestore


def _directories() -> Iterator[Path]:
    """Directories that may hold our msg files, the nearest to this module first."""
    yield Path(__file__).resolve().parents[2] / 'msg'
    prefixes = [one for one in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if one]
    for root in (*prefixes, sys.prefix, *map(str, Path(__file__).resolve().parents)):
        yield Path(root) / 'share' / 'pamdi_ros' / 'msg'


def definitions() -> dict[str, str]:
    """Text of every message of ours by its type, such as ``pamdi_ros/msg/Hop``; may be empty."""
    for directory in _directories():
        if files := sorted(directory.glob('*.msg')):
            return {OURS + file.stem: file.read_text(encoding='utf-8') for file in files}
    return {}


def typestore_for(connections: Iterable[Connection]) -> Typestore:
    """Types with which a bag's messages can be read.

    A recording of an earlier version of this package carries that version's definitions, and they
    win. Bags in SQLite carry none before ROS 2 Iron.

    :param connections: the bag's, of our types only.
    :raises RecordingError: neither the bag nor the installation has them.
    """
    from rosbags.interfaces import MessageDefinitionFormat
    from rosbags.typesys import (
        get_types_from_idl,
        get_types_from_msg,
        get_typestore,
        Stores,
        TypesysError,
    )

    store = get_typestore(Stores.ROS2_HUMBLE)  # of other packages we only use std_msgs/Header
    types: dict[str, Any] = {}
    for name, text in definitions().items():
        types.update(get_types_from_msg(text, name))
    wanted = list(connections)
    try:
        for connection in wanted:
            given = connection.msgdef
            if given.format is MessageDefinitionFormat.MSG:
                types.update(get_types_from_msg(given.data, connection.msgtype))
            elif given.format is MessageDefinitionFormat.IDL:
                types.update(get_types_from_idl(given.data))
    except TypesysError as error:
        raise RecordingError(f'its message definitions cannot be read: {error}') from error
    missing = sorted({connection.msgtype for connection in wanted} - set(types))
    if missing:
        raise RecordingError(
            f'it carries no definition of {", ".join(missing)}, and this installation has none: '
            'install pamdi_ros where the report is made, or record with MCAP storage'
        )
    store.register({name: fields for name, fields in types.items() if name.startswith(OURS)})
    return store
