# SPDX-License-Identifier: Apache-2.0
"""Two workers of the small fleet on real DDS: a node for each, and b as a hears and reaches it."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from nodes.wire_cases import FLEET
from pamdi_ros.msg import Chunk, Control, WorkerStatus
from pamdi_ros.msg import Task as TaskMsg
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.conversions import heartbeat_message
from pamdi_ros.nodes.qos_events import quiet_publisher, quiet_subscription
from pamdi_ros.worker import Partition
from pamdi_ros.worker.control import Heartbeat
import rclpy
from rclpy.executors import SingleThreadedExecutor

PATIENCE_S = 60.0
LEASE_S = 0.3


class Stage:
    """One ROS context with a node for worker a, another for worker b, and a loop for both.

    :param domain: of ROS.
    """

    def __init__(self, domain: int) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.loop = SingleThreadedExecutor(context=self.context)
        self.nodes = [self.node('a'), self.node('b')]
        self.actions: list[Callable[[], None]] = []

    def node(self, name: str) -> Any:
        """Return a new node."""
        node = rclpy.create_node(f'worker_{name}', context=self.context)
        self.loop.add_node(node)
        return node

    def until(self, done: Callable[[], object], what: str) -> None:
        """Serve callbacks until a condition holds."""
        give_up_s = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < give_up_s, what
            self.loop.spin_once(timeout_sec=0.02)
            for action in self.actions:
                action()

    def close(self) -> None:
        """Leave."""
        self.loop.shutdown()
        for node in self.nodes:
            node.destroy_node()
        rclpy.shutdown(context=self.context)


def topic(name: str) -> str:
    """Absolute name of a topic of the small fleet."""
    return f'/duo/{name}'


class Voice:
    """Worker b as its peers hear it.

    :param run: its incarnation.
    """

    def __init__(self, stage: Stage, run: int = 1) -> None:
        self.node = stage.nodes[1]
        self.heartbeat = Heartbeat(
            worker='b', incarnation=run, epoch=1, held=(Partition('net', 0, 5),),
            backlog_s=(0.0, 0.0), queue_lengths=(0, 0),
        )  # fmt: skip
        self.state = WorkerStatus.STATE_SERVING
        self._out = quiet_publisher(
            self.node, WorkerStatus, topic('workers/b/status'), qos.status_offered(LEASE_S)
        )
        self._said_s = 0.0

    def speak(self) -> None:
        """Publish a heartbeat if it is time to."""
        if time.monotonic() - self._said_s >= LEASE_S / 6:
            self._said_s = time.monotonic()
            message = WorkerStatus(state=self.state, message='fetching')
            heartbeat_message.fill(message, self.heartbeat, FLEET)
            self._out.publish(message)

    def leave(self) -> None:
        """Withdraw the topic."""
        self.node.destroy_publisher(self._out)


class Ears:
    """Worker b's own topics, and what came on them."""

    def __init__(self, stage: Stage) -> None:
        self.tasks: list[bytes] = []
        self.chunks: list[bytes] = []
        self.control: list[Control] = []
        node, senders = stage.nodes[1], len(FLEET.workers)
        for priority in FLEET.priority_classes:
            profile = qos.inbox(priority, senders)
            for name, kind, heard in (
                ('inbox', TaskMsg, self.tasks.append),
                ('chunks', Chunk, self.chunks.append),
            ):
                place = topic(f'workers/b/{name}/{priority.name}')
                quiet_subscription(node, kind, place, heard, profile, raw=True)
        quiet_subscription(
            node, Control, topic('workers/b/control'), self.control.append, qos.control(senders)
        )
