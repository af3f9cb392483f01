# SPDX-License-Identifier: Apache-2.0
"""A made-up run of a fleet, and bags of it written with the rosbags library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
import random
import sqlite3
from typing import Any

from pamdi_ros.msg import (
    Assignment,
    Hop,
    InferenceResult,
    Placement,
    SourceAssignment,
    SourceStats,
    WorkerStatus,
)
from pamdi_ros.recording.messages import definitions
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores

BEGAN_NS = 1_700_000_000_000_000_000
Heard = tuple[float, str, Any]
STORAGES = {'sqlite3': StoragePlugin.SQLITE3, 'mcap': StoragePlugin.MCAP}
WORKERS = ('robot1', 'robot2', 'robot3')


def result(seq: int, latency_s: float, source: str = 'camera', **fields: Any) -> InferenceResult:
    """Return an answered item that went from robot1 to robot2 and home."""
    parts = (0.1 * latency_s, 0.3 * latency_s, 0.2 * latency_s)
    hops = [
        Hop(worker='robot1', first_unit=0, last_unit=8, queue_s=parts[0], compute_s=parts[1]),
        Hop(
            worker='robot2', first_unit=8, last_unit=12, transfer_s=parts[0], compute_s=parts[1],
            queue_s=0.05 * latency_s, bytes_in=120_000,
        ),
        Hop(worker='robot1', first_unit=12, last_unit=12, transfer_s=0.15 * latency_s),
    ]  # fmt: skip
    told = {
        'source': source, 'seq': seq, 'incarnation': 7, 'model': 'resnet50', 'exit_unit': 12,
        'priority_class': 'critical', 'latency_s': latency_s, 'hops': hops, **fields,
    }  # fmt: skip
    return InferenceResult(**told)


def dropped(seq: int, reason: str, source: str = 'camera', latency_s: float = 0.0) -> Any:
    """Return an item without an answer, that never got anywhere."""
    return result(seq, latency_s, source, status=InferenceResult.REFUSED, reason=reason, hops=[])


def stats(source: str = 'camera', **fields: Any) -> SourceStats:
    """Return the statistics of a source."""
    told = {
        'source': source, 'incarnation': 7, 'priority_class': 'critical', 'rate_hz': 10.0,
        'result_rate_hz': 9.5, 'latency_p95_s': 0.09, 'deadline_s': 0.2, 'solo_s': 0.03, **fields,
    }  # fmt: skip
    return SourceStats(**told)


def status(worker: str = 'robot1', **fields: Any) -> WorkerStatus:
    """Return a heartbeat."""
    told = {
        'worker': worker, 'incarnation': 3, 'epoch': 1, 'state': WorkerStatus.STATE_SERVING,
        'device': 'cpu', 'memory_bytes': 60_000_000, 'memory_limit_bytes': 100_000_000,
        'placements': [Placement(worker=worker, model='resnet50', first_unit=0, last_unit=8)],
        **fields,
    }  # fmt: skip
    return WorkerStatus(**told)


def run_of(
    fleet: str = '/demo',
    sources: Iterable[str] = ('camera', 'lidar'),
    seconds: int = 30,
    rate_hz: float = 10.0,
    seed: int = 1,
) -> Iterator[Heard]:
    """Yield a run with a new epoch, a priority set, drops of two reasons and a late result."""
    rng = random.Random(seed)
    names = list(sources)
    seqs = dict.fromkeys(names, 0)
    for second in range(seconds):
        if second in (0, seconds // 3):
            yield second, f'{fleet}/assignment', _assignment(1 + bool(second), names)
        for place, name in enumerate(names):
            for part in range(int(rate_hz)):
                seqs[name] += 1
                latency_s = (1 + place) * 0.04 * rng.lognormvariate(0, 0.4)
                message = result(seqs[name], latency_s, name, model=f'net{place}')
                if rng.random() < 0.04:
                    reason = rng.choice(['queue_full: 4 wait already', 'expired: too old'])
                    message = dropped(seqs[name], reason, name, 0.001)
                at_s = second + (part + 0.5) / rate_hz
                yield at_s, f'{fleet}/results', message
                yield at_s, f'{fleet}/sources/{name}/result', message
            changed = place == 0 and second >= seconds // 2
            yield (
                second + 0.97,
                f'{fleet}/sources/{name}/stats',
                stats(name, priority_class='normal' if changed else 'critical'),
            )
        for place, worker in enumerate(WORKERS):
            peers = [other for other in WORKERS if other != worker]
            yield (
                second + 0.98,
                f'{fleet}/workers/{worker}/status',
                status(
                    worker,
                    epoch=1 + (second >= seconds // 3),
                    busy_share=min(1.0, 0.2 + 0.25 * place + 0.1 * rng.random()),
                    queue_lengths=[1, place],
                    priority_classes=['critical', 'normal'],
                    link_peers=peers,
                    link_rate=[1e6 * rng.random() * (place + 1), 0.0],
                    link_busy=[0.2, 0.0],
                    link_slowdown=[1.1, 0.0],
                    bytes_in=second * 1000,
                    tasks_run=second,
                ),
            )


def _assignment(epoch: int, names: list[str]) -> Assignment:
    return Assignment(
        fleet='demo',
        epoch=epoch,
        policy='pa_mdi_plus',
        sources=[
            SourceAssignment(
                source=name, model=f'net{place}', priority_class='critical', solo_s=0.03
            )
            for place, name in enumerate(names)
        ],
    )


def write_bag(
    path: Path, messages: Iterable[Heard], storage: str = 'sqlite3', compression: str = 'NONE'
) -> Path:
    """Write a rosbag2 directory of a storage kind."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in definitions().items():
        store.register(get_types_from_msg(text, name))
    known: dict[str, Any] = {}
    bag = Writer(path, version=9, storage_plugin=STORAGES[storage])
    bag.set_compression(CompressionMode[compression], CompressionFormat.ZSTD)
    with bag as writer:
        for at_s, topic, message in messages:
            if topic not in known:
                package = type(message).__module__.partition('.')[0]
                kind = f'{package}/msg/{type(message).__name__}'
                known[topic] = writer.add_connection(topic, kind, typestore=store)
            writer.write(known[topic], BEGAN_NS + round(at_s * 1e9), serialize_message(message))
    return path


def forget_definitions(bag: Path) -> None:
    """Make a SQLite bag one of before ROS 2 Iron, which carries no message definitions."""
    with sqlite3.connect(next(bag.glob('*.db3'))) as database:
        database.execute('DROP TABLE message_definitions')
        database.execute('UPDATE schema SET schema_version = 3')
    database.close()
