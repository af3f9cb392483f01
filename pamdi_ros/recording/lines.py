# SPDX-License-Identifier: Apache-2.0
"""A recording as JSON lines, as `pamdi demo` writes it: messages without their tensors.

The first line names the fleet; each other line is one message under its field names, so that it
is read by the same code as a bag's.
"""

from __future__ import annotations

from collections.abc import Iterator
import json
from pathlib import Path
import time
from types import SimpleNamespace
from typing import Any, TextIO

from pamdi_ros.recording.collect import RunCollector
from pamdi_ros.recording.errors import RecordingError
from pamdi_ros.recording.records import Recording
from pamdi_ros.recording.topics import Kind

#: Form of the lines; grows when they change so that an older reader fails.
VERSION = 1
#: Message types that are written, and what they tell.
KINDS = {
    'InferenceResult': Kind.RESULT,
    'SourceStats': Kind.STATS,
    'WorkerStatus': Kind.STATUS,
    'Assignment': Kind.ASSIGNMENT,
}
#: Fields that are large and tell a report nothing.
LEFT_OUT = frozenset({'outputs', 'models', 'scores', 'class_ids'})
#: A worker's heartbeat tells of the last second, and comes ten times in it.
HEARTBEAT_PERIOD_S = 0.5


class LineWriter:
    """Writes the messages of a fleet as they come.

    :param stream: text file, open for writing; stays open.
    :param fleet: name of the fleet.
    :param solo_items: first items of every source that ran while nothing else did.
    """

    def __init__(self, stream: TextIO, fleet: str, solo_items: int = 0) -> None:
        self._stream = stream
        self._heartbeats: dict[str, float] = {}
        self._began_s = time.monotonic()
        self._write(
            {'pamdi_recording': VERSION, 'fleet': fleet, 'solo_items': solo_items,
             'began': time.time()}
        )  # fmt: skip

    def write(self, message: Any) -> None:
        """Write one message; a heartbeat only now and then."""
        kind = type(message).__name__
        at_s = time.monotonic() - self._began_s
        if kind == 'WorkerStatus':
            if (
                at_s - self._heartbeats.get(message.worker, -HEARTBEAT_PERIOD_S)
                < HEARTBEAT_PERIOD_S
            ):
                return
            self._heartbeats[message.worker] = at_s
        self._write({'at_s': round(at_s, 6), 'type': kind, 'message': plain(message)})

    def _write(self, line: dict[str, Any]) -> None:
        self._stream.write(json.dumps(line, separators=(',', ':')) + '\n')


def plain(message: Any) -> Any:
    """Return a message as JSON can hold it, without what is large."""
    if hasattr(message, 'get_fields_and_field_types'):
        return {
            name: plain(getattr(message, name))
            for name in message.get_fields_and_field_types()
            if name not in LEFT_OUT
        }
    if hasattr(message, 'tolist'):
        return plain(message.tolist())
    if isinstance(message, float):
        # A float32 has seven digits; what is not finite is no JSON.
        return float(f'{message:.9g}') if abs(message) < float('inf') else 0.0
    if isinstance(message, list | tuple):
        return [plain(one) for one in message]
    return message


def read_lines(path: Path, fleet: str | None) -> Recording:
    """Read a recording of JSON lines.

    :param fleet: name that it must have; None: any.
    :raises RecordingError: it is none, is of another fleet, or a line is damaged
    """
    with path.open(encoding='utf-8', errors='replace') as stream:
        head = _head(stream.readline())
        if fleet is not None and fleet.strip('/') != head.fleet:
            raise RecordingError(f'no fleet {fleet} was recorded, only {head.fleet}')
        collector = RunCollector(
            fleet=head.fleet, origin=str(path), storage='JSON lines', solo_items=head.solo_items
        )
        collector.recording.began = head.began
        for kind, at_s, message in _messages(stream, collector.recording):
            collector.take(kind, at_s, message)
    if not sum(collector.recording.heard.values()):
        raise RecordingError('it holds no message: the run ended before the fleet was up')
    return collector.finish()


def _head(line: str) -> SimpleNamespace:
    try:
        told = json.loads(line)
        if told['pamdi_recording'] > VERSION:
            raise RecordingError('a later version of pamdi_ros wrote it: report with that one')
        return SimpleNamespace(
            fleet=str(told['fleet']),
            solo_items=int(told['solo_items']),
            began=float(told['began']),
        )
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError('its first line is not that of a pamdi recording') from error


def _messages(stream: TextIO, recording: Recording) -> Iterator[tuple[Kind, float, Any]]:
    for number, line in enumerate(stream, 2):
        try:
            told = json.loads(line, object_hook=lambda fields: SimpleNamespace(**fields))
            found = KINDS[told.type], float(told.at_s), told.message
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if not line.endswith('\n'):  # the writer was killed in the middle of its last line
                recording.notes.append('The last line was cut off: the run was killed.')
                return
            raise RecordingError(f'line {number} cannot be read: {error}') from error
        yield found
