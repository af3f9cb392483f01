# SPDX-License-Identifier: Apache-2.0
"""The heartbeat to and from WorkerStatus.msg, which says more, for people."""

from __future__ import annotations

from pamdi_ros.fleet import Fleet
from pamdi_ros.msg import WorkerStatus
from pamdi_ros.nodes.conversions.assignment_message import placement
from pamdi_ros.nodes.wire import BadMessage, limits
from pamdi_ros.nodes.wire.protocol import check_version, PROTOCOL_VERSION
from pamdi_ros.worker import Partition
from pamdi_ros.worker.control import Heartbeat
from pamdi_ros.worker.epochs import LARGEST_EPOCH

#: Characters of how a model is cut into units.
LONGEST_DIGEST = 64


def fill(message: WorkerStatus, heartbeat: Heartbeat, fleet: Fleet) -> None:
    """Write a heartbeat into a status; `state` and what is for people is left to the caller."""
    message.protocol_version = PROTOCOL_VERSION
    message.worker = heartbeat.worker
    message.incarnation = heartbeat.incarnation
    message.epoch = heartbeat.epoch
    message.allocator = heartbeat.allocator
    message.placements = [placement(heartbeat.worker, part) for part in heartbeat.held]
    message.loading = heartbeat.loading
    message.withdrawn = list(heartbeat.withdrawn)
    message.priority_classes = [priority.name for priority in fleet.priority_classes]
    message.queue_lengths = list(heartbeat.queue_lengths)
    message.backlog_s = [min(seconds, limits.LONGEST_S) for seconds in heartbeat.backlog_s]
    message.models = list(heartbeat.model_s)
    message.model_s = [min(seconds, limits.LONGEST_S) for seconds in heartbeat.model_s.values()]
    message.opened_models = list(heartbeat.digests)
    message.unit_digests = list(heartbeat.digests.values())
    message.link_peers = list(heartbeat.slowdown)
    message.link_slowdown = [min(x, limits.LARGEST_SLOWDOWN) for x in heartbeat.slowdown.values()]


def from_message(message: WorkerStatus, fleet: Fleet) -> Heartbeat:
    """Read a status. A worker that loads serves what it holds already.

    :raises BadMessage: it names what fleet.yaml does not have, or numbers that cannot be; it names
        the worker.
    """
    try:
        return _heartbeat(message, fleet)
    except BadMessage as error:
        error.sender = message.worker
        raise


def _heartbeat(message: WorkerStatus, fleet: Fleet) -> Heartbeat:
    if message.worker not in fleet.workers:
        raise BadMessage(
            'unknown_worker', f'{message.worker!r} is no worker of fleet {fleet.name}'
        )
    check_version(message.worker, message.protocol_version)
    known = 1 <= message.incarnation <= limits.LARGEST_NUMBER
    if not known or message.epoch > LARGEST_EPOCH:
        raise BadMessage(
            'bad_heartbeat',
            f'{message.worker}: run {message.incarnation}, assignment {message.epoch}',
        )
    queue_lengths, backlog_s = _by_rank(message, fleet)
    return Heartbeat(
        worker=message.worker,
        incarnation=message.incarnation,
        epoch=message.epoch,
        allocator=message.allocator,
        serving=message.state != WorkerStatus.STATE_UNCONFIGURED,
        loading=message.loading,
        held=_held(message, fleet),
        withdrawn=_withdrawn(message, fleet),
        backlog_s=backlog_s,
        queue_lengths=queue_lengths,
        model_s=_model_s(message, fleet),
        slowdown=_slowdown(message, fleet),
        digests=_digests(message, fleet),
    )


def _held(message: WorkerStatus, fleet: Fleet) -> tuple[Partition, ...]:
    limits.few('partitions held', len(message.placements), limits.MOST_PLACEMENTS)
    for part in message.placements:
        known = part.worker == message.worker and part.model in fleet.models
        if not known or part.first_unit > part.last_unit:
            raise BadMessage(
                'bad_heartbeat',
                f'{message.worker} says that {part.worker!r} holds units [{part.first_unit}, '
                f'{part.last_unit}) of {part.model!r}',
            )
    return tuple(
        Partition(part.model, part.first_unit, part.last_unit) for part in message.placements
    )


def _withdrawn(message: WorkerStatus, fleet: Fleet) -> tuple[str, ...]:
    for model in message.withdrawn:
        if model not in fleet.models:
            raise BadMessage('unknown_model', f'{message.worker} has withdrawn {model!r}')
    return tuple(sorted(set(message.withdrawn)))


def _by_rank(message: WorkerStatus, fleet: Fleet) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return queue lengths and backlogs in the order of this fleet's classes."""
    names = message.priority_classes
    if {*names} != {priority.name for priority in fleet.priority_classes}:
        raise BadMessage(
            'unknown_class',
            f'{message.worker} has classes {", ".join(names)}, fleet {fleet.name} here has '
            f'{", ".join(priority.name for priority in fleet.priority_classes)}. All machines '
            'need the same fleet.yaml',
        )
    if not len(names) == len(message.queue_lengths) == len(message.backlog_s):
        raise BadMessage(
            'bad_heartbeat',
            f'{message.worker}: {len(names)} classes, {len(message.queue_lengths)} queue lengths, '
            f'{len(message.backlog_s)} backlogs',
        )
    limits.few('classes', len(names), len(fleet.priority_classes))
    for seconds in message.backlog_s:
        limits.duration(f'{message.worker}: backlog_s', seconds)
    for length in message.queue_lengths:
        limits.whole(f'{message.worker}: queue_lengths', length, limits.LARGEST_COUNT)
    lengths = dict(zip(names, message.queue_lengths, strict=True))
    backlogs = dict(zip(names, message.backlog_s, strict=True))
    order = [priority.name for priority in fleet.priority_classes]
    return (
        tuple(int(lengths[name]) for name in order),
        tuple(float(backlogs[name]) for name in order),
    )


def _model_s(message: WorkerStatus, fleet: Fleet) -> dict[str, float]:
    if len(message.models) != len(message.model_s):
        raise BadMessage(
            'bad_heartbeat',
            f'{message.worker}: {len(message.models)} models, {len(message.model_s)} times',
        )
    limits.few('models', len(message.models), len(fleet.models))
    times = dict(zip(message.models, map(float, message.model_s), strict=True))
    for model, seconds in times.items():
        if model not in fleet.models:
            raise BadMessage('unknown_model', f'{message.worker} has measured {model!r}')
        limits.duration(f'{message.worker}: model_s of {model}', seconds)
    return times


def _digests(message: WorkerStatus, fleet: Fleet) -> dict[str, str]:
    names, digests = message.opened_models, message.unit_digests
    if len(names) != len(digests):
        raise BadMessage(
            'bad_heartbeat',
            f'{message.worker}: {len(names)} opened models, {len(digests)} digests',
        )
    limits.few('opened models', len(names), len(fleet.models))
    for model, digest in zip(names, digests, strict=True):
        if model not in fleet.models:
            raise BadMessage('unknown_model', f'{message.worker} has opened {model!r}')
        if len(digest) > LONGEST_DIGEST:
            raise BadMessage(
                'bad_heartbeat', f'{message.worker}: a digest of {len(digest)} characters'
            )
    return dict(zip(names, digests, strict=True))


def _slowdown(message: WorkerStatus, fleet: Fleet) -> dict[str, float]:
    if len(message.link_peers) != len(message.link_slowdown):
        raise BadMessage(
            'bad_heartbeat',
            f'{message.worker}: {len(message.link_peers)} peers, '
            f'{len(message.link_slowdown)} slowdowns',
        )
    limits.few('links', len(message.link_peers), len(fleet.workers))
    factors = dict(zip(message.link_peers, map(float, message.link_slowdown), strict=True))
    for peer, factor in factors.items():
        if peer not in fleet.workers:
            raise BadMessage('unknown_worker', f'{message.worker} has a link to {peer!r}')
        if not 0 < factor <= limits.LARGEST_SLOWDOWN:
            raise BadMessage(
                'bad_time',
                f'{message.worker}: link to {peer} is {factor} x slower, beyond '
                f'{limits.LARGEST_SLOWDOWN:g}',
            )
    return factors
