# SPDX-License-Identifier: Apache-2.0
"""Reads a rosbag2 recording, SQLite or MCAP, through the rosbags library: no ROS is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, ExitStack
import heapq
from pathlib import Path
import struct
from typing import Any, TYPE_CHECKING

from pamdi_ros.recording.collect import RunCollector
from pamdi_ros.recording.errors import RecordingError
from pamdi_ros.recording.messages import typestore_for
from pamdi_ros.recording.records import Recording
from pamdi_ros.recording.topics import choose_fleet, Kind, kind_of

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.rosbag2 import Reader
    from rosbags.typesys.store import Typestore

METADATA = 'metadata.yaml'
SUFFIXES = {'.db3': 'sqlite3', '.mcap': 'mcap'}
#: Packages whose every error means that the file is damaged.
LIBRARIES = ('apsw', 'backports', 'compression', 'lz4', 'sqlite3', 'zstandard')
#: Unused bytes that a message may have at its end.
MOST_UNUSED = 64
TRUNCATED = (
    'it is damaged or was cut off while it was written; try `ros2 bag reindex DIRECTORY`, or '
    '`mcap recover FILE` for MCAP'
)


def storage_files(path: Path) -> list[Path]:
    """Files of a recording that rosbags opens one by one; empty: it is none.

    :param path: a directory with metadata (then itself), one without, or a storage file.
    """
    if path.is_file():
        return [path] if path.suffix in SUFFIXES else []
    if (path / METADATA).is_file():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)


def read_bag(path: Path, fleet: str | None) -> Recording:
    """Read what a bag tells of a fleet; topics that carry tensors are not looked at.

    :param path: for which :func:`storage_files` gives something.
    :param fleet: name or namespace, where several were recorded.
    :raises RecordingError: it cannot be read, or tells of no fleet
    """
    with ExitStack() as stack:
        readers = [stack.enter_context(_opened(file)) for file in storage_files(path)]
        ours = [
            (connection, *found)
            for reader in readers
            for connection in reader.connections
            if (found := kind_of(connection.topic, connection.msgtype))
        ]
        if not ours:
            raise RecordingError(_nothing_of_ours(readers))
        namespace = choose_fleet((name for _, name, _ in ours), fleet)
        topics = {connection.topic: kind for connection, name, kind in ours if name == namespace}
        counts: dict[str, int] = {}
        for connection, *_ in ours:
            counts[connection.topic] = counts.get(connection.topic, 0) + connection.msgcount
        _drop_doubles(topics, counts, namespace)
        collector = RunCollector(
            fleet=namespace.rpartition('/')[2] or namespace,
            origin=str(path),
            storage=_storage(path, readers),
        )
        if path.is_dir() and not (path / METADATA).is_file():
            collector.recording.notes.append(
                f'{METADATA} is missing, so the recorder was not closed in order: the last '
                'seconds may be missing.'
            )
        store = typestore_for(connection for connection, *_ in ours)
        unread = _take_in(collector, readers, topics, store)
    heard = sum(collector.recording.heard.values())
    if unread and not heard:
        raise RecordingError(
            'its messages do not fit the definitions of this version of pamdi_ros, and it '
            'carries none: report with the version that recorded it'
        )
    if unread:
        collector.recording.notes.append(f'{unread} messages could not be read and were skipped.')
    if not heard:
        raise RecordingError(f'nothing was recorded on the topics of the fleet {namespace}')
    return collector.finish()


def _take_in(
    collector: RunCollector, readers: list[Reader], topics: dict[str, Kind], store: Typestore
) -> int:
    """Hand all messages to the collector, in order of time.

    :returns: how many could not be read.
    """
    from rosbags.serde import SerdeError

    unread = 0
    began_ns: int | None = None
    for connection, at_ns, raw in _messages(readers, set(topics)):
        if began_ns is None:
            began_ns = at_ns
            collector.recording.began = at_ns / 1e9
        try:
            message = _message(store, raw, connection.msgtype)
        except SerdeError:
            unread += 1
            continue
        collector.take(topics[connection.topic], (at_ns - began_ns) / 1e9, message)
    return unread


def _message(store: Typestore, raw: bytes, message_type: str) -> Any:
    """Deserialise a message, with more unused bytes at its end than rosbags bears (3).

    rclpy's own serialisation reserves them for the alignment of sequences that are empty.
    """
    from rosbags.serde import SerdeError

    for cut in range(0, MOST_UNUSED, 4):
        try:
            return store.deserialize_cdr(raw[: len(raw) - cut], message_type)
        except SerdeError as error:
            failure = error
            if 'size mismatch' not in str(error):
                break
    raise failure


def _messages(readers: list[Reader], topics: set[str]) -> Iterator[tuple[Connection, int, bytes]]:
    streams = []
    for reader in readers:
        wanted = [one for one in reader.connections if one.topic in topics and one.msgcount]
        if wanted:
            streams.append(reader.messages(connections=wanted))
    with _readable():
        yield from heapq.merge(*streams, key=lambda entry: entry[1])


def _drop_doubles(topics: dict[str, Kind], counts: dict[str, int], namespace: str) -> None:
    """Leave out each source's results where those of all sources were recorded."""
    everything = f'{namespace.rstrip("/")}/{Kind.RESULT.value}'
    if counts.get(everything):
        for topic in [name for name, kind in topics.items() if kind is Kind.RESULT]:
            if topic != everything:
                del topics[topic]


def _nothing_of_ours(readers: list[Reader]) -> str:
    seen = sorted({connection.topic for reader in readers for connection in reader.connections})
    listed = ', '.join(seen[:5]) + (', …' if len(seen) > 5 else '') if seen else 'none at all'
    return (
        f'no topic of a pamdi fleet was recorded (topics: {listed}); see docs/report.md for what '
        'to record'
    )


def _storage(path: Path, readers: list[Reader]) -> str:
    file = (
        path
        if path.is_file()
        else next(
            (one for one in sorted(path.iterdir()) if SUFFIXES.keys() & set(one.suffixes)), path
        )
    )
    kind = next((SUFFIXES[suffix] for suffix in file.suffixes if suffix in SUFFIXES), 'unknown')
    packed = {reader.compression_format for reader in readers} - {None, ''}
    return f'rosbag2, {kind}' + (f', {packed.pop()}' if packed else '')


@contextmanager
def _opened(path: Path) -> Iterator[Reader]:
    from rosbags.rosbag2 import Reader

    with _readable():
        reader = Reader(path)
        reader.open()
    try:
        yield reader
    finally:
        reader.close()


@contextmanager
def _readable() -> Iterator[None]:
    """Say in our words what a damaged file makes the library raise."""
    try:
        yield
    except RecordingError:
        raise
    except Exception as error:
        if not _is_damage(error):
            raise
        said = ' '.join(str(error).split()) or type(error).__name__
        raise RecordingError(f'{said.rstrip(".")}: {TRUNCATED}') from error


def _is_damage(error: Exception) -> bool:
    from rosbags.rosbag2 import ReaderError

    damages: tuple[type[Exception], ...] = (
        ReaderError, struct.error, EOFError, OSError, ValueError, TypeError, KeyError,
        AssertionError, RuntimeError,
    )  # fmt: skip
    package = type(error).__module__.partition('.')[0]
    return isinstance(error, damages) or package in LIBRARIES
