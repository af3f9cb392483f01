# SPDX-License-Identifier: Apache-2.0
"""Topics between workers: no more QoS events than needed, and words for profiles that differ.

Every QoS event of every entity costs rclpy about 3 microseconds in each turn of its loop, and by
default an entity has two (measured: 21 idle publishers made a turn of 70 us one of 178 us). So the
events are switched off; whether profiles match is read from the graph, a few times a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pamdi_ros.nodes import qos
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

try:
    from rclpy.event_handler import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )
except ImportError:  # Humble
    from rclpy.qos_event import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )


def quiet_publisher(node: Node, kind: type, topic: str, profile: QoSProfile) -> Publisher:
    """Create a publisher without events."""
    events = PublisherEventCallbacks(use_default_callbacks=False)
    return node.create_publisher(kind, topic, profile, event_callbacks=events)


def quiet_subscription(
    node: Node,
    kind: type,
    topic: str,
    callback: Callable[[Any], None],
    profile: QoSProfile,
    *,
    raw: bool = False,
    liveliness: Callable[[int], None] | None = None,
    late: Callable[[int], None] | None = None,
) -> Subscription:
    """Subscribe with only the events asked for, as far as the middleware has them.

    :param raw: the callback is given the serialized message.
    :param liveliness: called with the number of publishers that live, when it changes.
    :param late: called with the number of missed deadlines so far.
    """
    handlers: dict[str, Callable[[Any], None]] = {}
    if liveliness is not None:
        handlers['liveliness'] = lambda event: liveliness(event.alive_count)
    if late is not None:
        handlers['deadline'] = lambda event: late(event.total_count)
    while True:
        events = SubscriptionEventCallbacks(use_default_callbacks=False, **handlers)
        try:
            return node.create_subscription(
                kind, topic, callback, profile, raw=raw, event_callbacks=events
            )
        except UnsupportedEventTypeError:
            handlers.popitem()  # which one it was is not told; with none left it cannot be raised


def unmatched_subscriptions(node: Node, topic: str, offered: QoSProfile) -> str:
    """Say why subscriptions to a topic do not match a publisher of this node.

    :returns: empty where all do.
    """
    infos = node.get_subscriptions_info_by_topic(topic)
    return _told([qos.mismatch(offered, info.qos_profile) for info in infos])


def unmatched_publishers(node: Node, topic: str, requested: QoSProfile) -> str:
    """Say why publishers of a topic do not match a subscription of this node.

    :returns: empty where all do.
    """
    infos = node.get_publishers_info_by_topic(topic)
    return _told([qos.mismatch(info.qos_profile, requested) for info in infos])


def _told(mismatches: list[str]) -> str:
    texts = '; '.join(dict.fromkeys(filter(None, mismatches)))
    if not texts:
        return ''
    return f'incompatible QoS ({texts}): all machines need the same fleet.yaml and version'
