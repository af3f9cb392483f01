# SPDX-License-Identifier: Apache-2.0
"""The other workers as one executor sees them: their inboxes, their beacons."""

from __future__ import annotations

from collections.abc import Callable, Iterable
import time

from pamdi_ros.fleet import Fleet
from pamdi_ros.msg import Task, WorkerStatus
from pamdi_ros.nodes import qos
from pamdi_ros.worker import Leg
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription


class Peers:
    """Publishers to peers' inboxes and subscriptions to their beacons, made when a plan asks.

    :param node: the executor's node.
    :param fleet: the fleet.
    :param topic: makes absolute topic names.
    :param heard: called with each beacon.
    """

    def __init__(
        self,
        node: Node,
        fleet: Fleet,
        topic: Callable[[str], str],
        heard: Callable[[WorkerStatus], None],
    ) -> None:
        self._node = node
        self._fleet = fleet
        self._topic = topic
        self._heard = heard
        self._inboxes: dict[tuple[str, str], Publisher] = {}
        self._beacons: dict[str, Subscription] = {}
        self._wanted: set[str] = set()
        self.status: dict[str, WorkerStatus] = {}
        self._heard_s: dict[str, float] = {}

    def keep(self, workers: Iterable[str]) -> None:
        """Keep contact with these workers, and for once more with those kept until now.

        What was routed under the last assignment still has to reach them.
        """
        wanted = set(workers)
        for worker in sorted(wanted - set(self._beacons)):
            self._beacons[worker] = self._node.create_subscription(
                WorkerStatus,
                self._topic(f'workers/{worker}/status'),
                self._beacon,
                qos.STATUS,
            )
            for priority in self._fleet.priority_classes:
                self._inboxes[(worker, priority.name)] = self._node.create_publisher(
                    Task,
                    self._topic(f'workers/{worker}/inbox/{priority.name}'),
                    qos.inbox(priority, len(self._fleet.workers)),
                )
        for worker in set(self._beacons) - wanted - self._wanted:
            self._node.destroy_subscription(self._beacons.pop(worker))
            self.status.pop(worker, None)
            for priority in self._fleet.priority_classes:
                self._node.destroy_publisher(self._inboxes.pop((worker, priority.name)))
        self._wanted = wanted

    def close(self) -> None:
        """Give up all contacts."""
        self.keep(())
        self.keep(())

    def send(self, worker: str, priority_class: str, data: bytes) -> bool:
        """Publish a serialized task to a peer's inbox.

        :returns: False where this worker has no contact with the peer.
        """
        publisher = self._inboxes.get((worker, priority_class))
        if publisher is None:
            return False
        try:
            publisher.publish(data)
        except InvalidHandle:  # the spin thread withdrew it at this moment
            return False
        return True

    def out_of_reach(self) -> list[str]:
        """Peers of the present assignment whose inboxes have not been found yet."""
        return sorted(
            {
                worker
                for (worker, _), publisher in self._inboxes.items()
                if worker in self._wanted and not publisher.get_subscription_count()
            }
        )

    def waiting_for(self, model: str, legs: Iterable[Leg], own: str, timeout_s: float) -> str:
        """Say which worker of a route cannot serve (yet); empty where all can.

        :param timeout_s: a peer silent for longer is taken for lost [s].
        """
        for leg in legs:
            if leg.worker == own:
                continue
            status = self.status.get(leg.worker)
            if status is None:
                return f'waiting for {leg.worker}: not heard yet; is its executor running?'
            silence_s = time.monotonic() - self._heard_s[leg.worker]
            if silence_s > timeout_s:
                return (
                    f'{leg.worker} has not been heard for {silence_s:.0f} s; is its executor '
                    'running, does the network reach it?'
                )
            ready = any(
                part.model == model and part.first_unit <= leg.first and leg.last <= part.last_unit
                for part in status.placements
            )
            serves = status.state in (WorkerStatus.STATE_SERVING, WorkerStatus.STATE_DEGRADED)
            if not ready or not serves:
                why = status.message or 'loading'
                return f'waiting for {leg.worker}: {why}'
        return ''

    def _beacon(self, status: WorkerStatus) -> None:
        self.status[status.worker] = status
        self._heard_s[status.worker] = time.monotonic()
        self._heard(status)
