# SPDX-License-Identifier: Apache-2.0
"""The one observer of fleets: finds them, subscribes to their topics, hands on what comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from pamdi_ros.fleet import Fleet
from pamdi_ros.monitor.discovery import find_fleets, Members
from pamdi_ros.msg import Assignment, InferenceResult, SourceStats, WorkerStatus
from pamdi_ros.nodes import qos
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

#: Takes a message: (namespace of its fleet, message, wall clock when it came [s]).
Heard = Callable[[str, Any, float], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Listening:
    """What is listened to besides heartbeats and assignments, and how; None: it is not.

    :param statistics: of the sources.
    :param results: of their items.
    :param diagnostics: of all nodes, of other fleets, too.
    """

    statistics: QoSProfile | None = None
    results: QoSProfile | None = None
    diagnostics: QoSProfile | None = None


class FleetObserver:
    """Subscriptions of one node to the fleets that it follows.

    It keeps nothing: what a message means is up to who hears it (a
    :class:`~pamdi_ros.monitor.collector.Collector`, facts of ``pamdi doctor``, a run's record).
    The callbacks come from whoever spins the node.

    :param node: that subscribes.
    :param heard: takes every message.
    :param listening: what is listened to.
    """

    def __init__(self, node: Node, heard: Heard, listening: Listening) -> None:
        self._node = node
        self._heard = heard
        self._listening = listening
        self._subscriptions: dict[str, Subscription] = {}

    def __len__(self) -> int:
        """Return the number of subscriptions."""
        return len(self._subscriptions)

    def find(self) -> dict[str, Members]:
        """Return the fleets that have topics now, by absolute namespace."""
        return find_fleets(self._node.get_topic_names_and_types())

    def follow(self, prefix: str, members: Members, fleet: Fleet | None = None) -> set[str]:
        """Subscribe to whatever is not heard yet of a fleet.

        :param prefix: absolute namespace of the fleet.
        :param members: that are there.
        :param fleet: its file, where there is one: its members are listened for before they come.
        :returns: its workers.
        """
        listening = self._listening
        self._subscribe(prefix, Assignment, 'assignment', qos.ASSIGNMENT)
        if listening.results is not None:
            self._subscribe(prefix, InferenceResult, 'results', listening.results)
        if listening.diagnostics is not None:
            self._subscribe(prefix, DiagnosticArray, '/diagnostics', listening.diagnostics)
        workers = members.workers | set(fleet.workers if fleet else ())
        for name in sorted(workers):
            self._subscribe(prefix, WorkerStatus, f'workers/{name}/status', qos.STATUS)
        if listening.statistics is not None:
            for name in sorted(members.sources | set(fleet.sources if fleet else ())):
                topic = f'sources/{name}/stats'
                self._subscribe(prefix, SourceStats, topic, listening.statistics)
        return workers

    def follow_copies(self, prefix: str, workers: Iterable[str]) -> None:
        """Subscribe to the assignment as workers have it, where the allocator is gone."""
        for name in workers:
            self._subscribe(prefix, Assignment, f'workers/{name}/assignment', qos.ASSIGNMENT)

    def drop(self) -> None:
        """Follow nobody any more."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _subscribe(self, prefix: str, kind: type, topic: str, profile: QoSProfile) -> None:
        """Subscribe once.

        :param topic: relative to the fleet's namespace, or absolute.
        """
        name = topic if topic.startswith('/') else f'{prefix}/{topic}'
        if name in self._subscriptions:
            return

        def take(message: Any) -> None:
            self._heard(prefix, message, time.time())

        def take_informed(message: Any, info: dict[str, int]) -> None:
            self._heard(prefix, message, 1e-9 * info['received_timestamp'] or time.time())

        # rclpy hands out the time of reception since Iron; before, the time of taking must do.
        informed = kind is WorkerStatus and hasattr(Subscription, 'CallbackType')
        callback: Callable[..., None] = take_informed if informed else take
        self._subscriptions[name] = self._node.create_subscription(kind, name, callback, profile)
