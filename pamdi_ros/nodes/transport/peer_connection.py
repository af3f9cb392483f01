# SPDX-License-Identifier: Apache-2.0
"""What one executor makes to reach one peer: publishers, and an ear for its heartbeats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pamdi_ros.fleet import Fleet
from pamdi_ros.msg import Chunk, Control, Task, WorkerStatus
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.qos_events import (
    quiet_publisher,
    quiet_subscription,
    unmatched_publishers,
    unmatched_subscriptions,
)
from pamdi_ros.nodes.transport.link_emulation import EmulatedLinks
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What is the same for all peers of an executor.

    :param node: the executor's node.
    :param fleet: the fleet.
    :param topic: makes absolute topic names.
    :param lease_s: a peer silent for longer is lost [s].
    :param most_credit: messages that each sender may have under way.
    :param links: carries what is sent; None: the network itself does.
    """

    node: Node
    fleet: Fleet
    topic: Callable[[str], str]
    lease_s: float
    most_credit: int
    links: EmulatedLinks | None


class PeerConnection:
    """Publishers to one peer and a subscription to its heartbeats.

    :param terms: of this executor.
    :param worker: the peer.
    :param heartbeat: called with each status of it.
    :param gone: called when the middleware finds that it no longer speaks.
    :ivar late: heartbeats that came later than a lease after the last, as the middleware counts.
    """

    def __init__(
        self,
        terms: Terms,
        worker: str,
        heartbeat: Callable[[WorkerStatus], None],
        gone: Callable[[], None],
    ) -> None:
        self.late = 0
        self._terms = terms
        self._worker = worker
        self._profiles: dict[str, QoSProfile] = {}
        self._publishers: dict[str, Publisher] = {}
        self._status = self._topic('status')
        self._requested = qos.status_requested(terms.lease_s)
        self._subscription = quiet_subscription(
            terms.node,
            WorkerStatus,
            self._status,
            heartbeat,
            self._requested,
            liveliness=lambda alive: None if alive else gone(),
            late=self._count_late,
        )
        senders = len(terms.fleet.workers)
        self._offer('control', Control, qos.control(senders, terms.most_credit))
        for priority in terms.fleet.priority_classes:
            profile = qos.inbox(priority, senders, terms.most_credit)
            self._offer(f'inbox/{priority.name}', Task, profile)
            self._offer(f'chunks/{priority.name}', Chunk, profile)

    def matched(self) -> bool:
        """Tell whether the peer has been found on all topics."""
        return all(out.get_subscription_count() for out in self._publishers.values())

    def publish(self, name: str, message: Any, size: int) -> bool:
        """Send a message, over an emulated link if this worker has such.

        :param name: of the topic, such as ``inbox/<class>``.
        :param size: that it is taken to have on an emulated link [byte].
        :returns: False where it cannot be sent.
        """
        publisher = self._publishers.get(name)
        if publisher is None:
            return False
        if self._terms.links is not None:
            return self._terms.links.send(self._worker, size, partial(_send, publisher, message))
        return _send(publisher, message)

    def mismatches(self) -> dict[str, str]:
        """Topics whose other end has a QoS that does not match, and what to do."""
        node = self._terms.node
        told = {
            self._topic(name): unmatched_subscriptions(node, self._topic(name), profile)
            for name, profile in self._profiles.items()
        }
        told[self._status] = unmatched_publishers(node, self._status, self._requested)
        return {topic: text for topic, text in told.items() if text}

    def close(self) -> None:
        """Withdraw all."""
        self._terms.node.destroy_subscription(self._subscription)
        for publisher in self._publishers.values():
            self._terms.node.destroy_publisher(publisher)

    def _topic(self, name: str) -> str:
        return self._terms.topic(f'workers/{self._worker}/{name}')

    def _offer(self, name: str, kind: type, profile: QoSProfile) -> None:
        self._profiles[name] = profile
        self._publishers[name] = quiet_publisher(
            self._terms.node, kind, self._topic(name), profile
        )

    def _count_late(self, total: int) -> None:
        self.late = total


def _send(publisher: Publisher, message: Any) -> bool:
    try:
        publisher.publish(message)
    except InvalidHandle:  # rclpy's thread withdrew it at this moment
        return False
    return True
