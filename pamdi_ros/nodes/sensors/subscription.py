# SPDX-License-Identifier: Apache-2.0
"""A source's subscription at its home: raw bytes in, items out, QoS that fits the sensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import struct
from typing import Any

from pamdi_ros.fleet import Source, TEXT_TYPE
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.conversions.task_message import SensorHeader
from pamdi_ros.nodes.sensors import message_class
from pamdi_ros.nodes.sensors.sequence_gaps import SequenceGaps
from pamdi_ros.nodes.wire.cdr import BadMessage, CdrReader
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

OVERRIDABLE = QoSOverridingOptions.with_default_policies()


class SensorSubscription:
    """Subscribes one source and hands on each message as it came, undecoded.

    Raw: the callback only queues bytes, decoding waits for the compute thread. Reliability
    follows the publishers as they are seen, unless qos_overrides parameters set it.

    :param node: the executor's node.
    :param source: the source; its topic is taken as `topic`.
    :param topic: absolute name.
    :param take: called with (source, header, serialized message).
    """

    def __init__(
        self,
        node: Node,
        source: Source,
        topic: str,
        take: Callable[[Source, SensorHeader, bytes], None],
    ) -> None:
        self.source = source
        self.topic = topic
        self._node = node
        self._take = take
        self._subscription: Subscription | None = None
        self._declared = False
        self._given: QoSProfile | None = None  # of the first subscription, overrides included
        self._gaps = SequenceGaps()
        self._refused = False
        self.problem = ''

    @property
    def is_open(self) -> bool:
        """Whether it subscribes."""
        return self._subscription is not None

    @property
    def unheard(self) -> int:
        """Messages that its one publisher sent and that did not come, up to the last watch()."""
        return self._gaps.lost

    def start(self) -> bool:
        """Subscribe; once open, it stays so.

        Where that cannot be done it is not tried again until closed: parameters do not change.

        :returns: whether it is open.
        """
        if self._subscription is not None or self._refused:
            return self.is_open
        given = self._given if self._overridden() else None
        offers = [info.qos_profile for info in self._publishers()]
        try:
            self._subscribe(given or qos.sensor(offers))
        except Exception as error:  # rclpy raises many kinds for an override that makes no sense
            self._refused = True
            self.problem = (
                f'{self.topic} cannot be subscribed ({error}); correct parameters '
                f'qos_overrides.{self.topic}.subscription.* of this node, and start it again'
            )
            self._node.get_logger().error(f'source {self.source.name}: {self.problem}')
        return self.is_open

    def close(self) -> None:
        """Unsubscribe."""
        self._refused = False
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def watch(self) -> None:
        """Follow what the publishers offer; call it now and then.

        Sets :attr:`problem` to why a publisher cannot be heard, empty where all can.
        """
        if self._subscription is None:
            return
        publishers = self._publishers()
        self._gaps.confirm([bytes(info.endpoint_gid) for info in publishers])
        offers = [info.qos_profile for info in publishers]
        wanted = qos.sensor(offers)
        current = self._subscription.qos_profile
        if wanted.reliability != current.reliability and not self._overridden():
            self._node.get_logger().info(
                f'source {self.source.name}: {self.topic} is offered {qos.describe(wanted)}; '
                'subscribing the same way'
            )
            self.close()
            self._subscribe(wanted)
        problems = [
            f'a publisher of {self.topic} cannot be heard ({text}); change its QoS, or parameter '
            f'qos_overrides.{self.topic}.subscription.reliability of this node'
            for offer in offers
            if (text := qos.mismatch(offer, self._subscription.qos_profile))
        ]
        problem = problems[0] if problems else self._wrong_type(publishers)
        if problem and problem != self.problem:
            self._node.get_logger().error(f'source {self.source.name}: {problem}')
        self.problem = problem

    def _subscribe(self, profile: QoSProfile) -> None:
        self._gaps.restart()
        self._subscription = self._node.create_subscription(
            message_class(self.source.type),
            self.topic,
            self._received,
            profile,
            raw=True,
            # Declared once: on a later subscription the parameter would give its old value.
            qos_overriding_options=None if self._declared else OVERRIDABLE,
            # watch() tells more than the event does, and works where there is no such event
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )
        self._declared = True
        self._given = self._given or self._subscription.qos_profile

    def _received(self, data: bytes, info: Any) -> None:
        self._gaps.received(info.get('publication_sequence_number'))
        self._take(self.source, self._header(data), data)

    def _header(self, data: bytes) -> SensorHeader:
        """Read the header that all sensor messages begin with, without decoding the rest."""
        if self.source.type != TEXT_TYPE:
            try:
                read = CdrReader(data)
                return SensorHeader(read.integer('i', 4), read.integer('I', 4), read.string())
            except (BadMessage, struct.error):
                pass  # decoding will tell what is wrong with it
        stamp = self._node.get_clock().now().to_msg()
        return SensorHeader(stamp.sec, stamp.nanosec, '')

    def _overridden(self) -> bool:
        # rclpy tells nowhere whether a parameter's value was given or is the default.
        given = getattr(self._node, '_parameter_overrides', {})
        prefix = f'qos_overrides.{self.topic}.subscription'
        return any(name.startswith(prefix) for name in given)

    def _publishers(self) -> list[TopicEndpointInfo]:
        found: list[TopicEndpointInfo] = self._node.get_publishers_info_by_topic(self.topic)
        return found

    def _wrong_type(self, publishers: Sequence[TopicEndpointInfo]) -> str:
        others = sorted({info.topic_type for info in publishers} - {self.source.type})
        if not others:
            return ''
        return (
            f'{self.topic} is published as {", ".join(others)}, but fleet.yaml says '
            f'{self.source.type}; correct sources.{self.source.name}.type'
        )
