# SPDX-License-Identifier: Apache-2.0
"""Control traffic to and from Control.msg; everything received is checked, item by item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pamdi_ros.fleet import Fleet
from pamdi_ros.msg import (
    ClearToCompute,
    Control,
    ItemRelease,
    RequestToCompute,
    TaskAck,
)
from pamdi_ros.msg import Credit as CreditMsg
from pamdi_ros.nodes.wire import BadMessage, limits
from pamdi_ros.worker import ItemKey
from pamdi_ros.worker.control import (
    Ack,
    Clearance,
    ControlItem,
    Credit,
    Release,
    Request,
)

#: Reason of a refusal that a peer did not explain.
UNEXPLAINED = 'unexplained: the peer gave no reason'


def to_message(
    items: Iterable[ControlItem], sender: str, incarnation: int, fleet: Fleet
) -> Control:
    """Fill a Control message; items of one kind keep their order.

    :param sender: name of this worker.
    :param incarnation: which run of it.
    """
    message = Control(sender=sender, incarnation=incarnation)
    for item in items:
        match item:
            case Request():
                message.requests.append(_request_message(item, fleet))
            case Clearance():
                message.clearances.append(_clearance_message(item))
            case Ack():
                message.acks.append(_ack_message(item))
            case Release():
                message.releases.append(ItemRelease(**item.key._asdict()))
            case Credit():
                message.credits.append(CreditMsg(transfer=item.transfer, index=item.index))
    return message


def from_message(message: Control, fleet: Fleet) -> tuple[list[ControlItem], list[BadMessage]]:
    """Read a Control message of a known sender.

    :returns: the sound items, and for each other one what is wrong with it; none of a message that
        is no worker's, or too long.
    """
    try:
        _check_whole(message)
    except BadMessage as error:
        error.sender = message.sender
        return [], [error]
    ranks = {priority.name: priority.rank for priority in fleet.priority_classes}
    items: list[ControlItem] = []
    refused: list[BadMessage] = []
    kinds: Sequence[tuple[Iterable[Any], Callable[[Any], ControlItem]]] = (
        (message.requests, lambda request: _request(request, fleet, ranks)),
        (message.clearances, _clearance),
        (message.acks, lambda ack: _ack(ack, fleet)),
        (message.releases, lambda release: Release(_key(release, fleet))),
        (message.credits, _credit),
    )
    for received, read in kinds:
        for item in received:
            try:
                items.append(read(item))
            except BadMessage as error:
                error.sender = message.sender
                refused.append(error)
    return items, refused


def _check_whole(message: Control) -> None:
    limits.whole('incarnation', message.incarnation, limits.LARGEST_NUMBER, 1)
    if len(message.requests) > limits.MOST_CONTROL_REQUESTS:
        raise BadMessage(
            'too_many_requests',
            f'{len(message.requests)} in one message, more than {limits.MOST_CONTROL_REQUESTS}',
        )


def _request_message(item: Request, fleet: Fleet) -> RequestToCompute:
    return RequestToCompute(
        request=item.number,
        **item.key._asdict(),
        model=item.model,
        priority_class=fleet.priority_classes[item.rank].name,
        next_unit=item.next_unit,
        boundary_bytes=item.boundary_bytes,
        age_s=float(item.age_s),
    )


def _clearance_message(item: Clearance) -> ClearToCompute:
    return ClearToCompute(
        request=item.number,
        granted=item.granted,
        reason=item.reason,
        wait_s=min(float(item.wait_s), limits.LONGEST_S),
        service_s=min(float(item.service_s), limits.LONGEST_S),
        last_unit=item.last_unit,
        pushed_back=min(float(item.pushed_back), limits.LARGEST_WEIGHT),
        expires_s=float(item.expires_s),
    )


def _ack_message(item: Ack) -> TaskAck:
    return TaskAck(
        transfer=item.transfer,
        **item.key._asdict(),
        next_unit=item.next_unit,
        passes_left=item.passes_left,
        accepted=item.accepted,
        reason=item.reason,
        held_s=float(item.held_s),
    )


def _request(message: RequestToCompute, fleet: Fleet, ranks: Mapping[str, int]) -> Request:
    key = _key(message, fleet)
    model = fleet.sources[key.source].model
    if message.model != model:
        raise BadMessage(
            'unknown_model', f'source {key.source} uses {model!r}, not {message.model!r}'
        )
    if message.priority_class not in ranks:
        raise BadMessage(
            'unknown_class', f'fleet {fleet.name} has no class {message.priority_class!r}'
        )
    return Request(
        number=limits.whole('request', message.request, limits.LARGEST_NUMBER),
        key=key,
        model=model,
        rank=ranks[message.priority_class],
        next_unit=message.next_unit,
        boundary_bytes=limits.whole(
            'boundary_bytes', message.boundary_bytes, limits.LARGEST_BYTES
        ),
        age_s=limits.duration('age_s', message.age_s),
    )


def _clearance(message: ClearToCompute) -> Clearance:
    return Clearance(
        number=limits.whole('request', message.request, limits.LARGEST_NUMBER),
        granted=message.granted,
        reason=message.reason or ('' if message.granted else UNEXPLAINED),
        wait_s=limits.duration('wait_s', message.wait_s),
        service_s=limits.duration('service_s', message.service_s),
        last_unit=message.last_unit,
        pushed_back=limits.number('pushed_back', message.pushed_back, limits.LARGEST_WEIGHT),
        expires_s=limits.duration('expires_s', message.expires_s),
    )


def _ack(message: TaskAck, fleet: Fleet) -> Ack:
    return Ack(
        transfer=limits.whole('transfer', message.transfer, limits.LARGEST_NUMBER),
        key=_key(message, fleet),
        next_unit=message.next_unit,
        passes_left=message.passes_left,
        accepted=message.accepted,
        reason=message.reason or ('' if message.accepted else UNEXPLAINED),
        held_s=limits.duration('held_s', message.held_s),
    )


def _credit(message: CreditMsg) -> Credit:
    return Credit(
        limits.whole('transfer', message.transfer, limits.LARGEST_NUMBER),
        limits.whole('index', message.index, limits.MOST_PIECES - 1),
    )


def _key(message: Any, fleet: Fleet) -> ItemKey:
    if message.source not in fleet.sources:
        raise BadMessage(
            'unknown_source', f'{message.source!r} is no source of fleet {fleet.name}'
        )
    limits.item(message.source, message.incarnation, message.seq)
    return ItemKey(message.source, message.incarnation, message.seq)
