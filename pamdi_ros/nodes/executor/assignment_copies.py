# SPDX-License-Identifier: Apache-2.0
"""Every worker passes on the assignment in force to whoever starts without an allocator."""

from __future__ import annotations

from collections.abc import Callable

from pamdi_ros.fleet import Fleet
from pamdi_ros.msg import Assignment
from pamdi_ros.nodes import qos
from rclpy.node import Node
from rclpy.subscription import Subscription


class AssignmentCopies:
    """The latched topic ``workers/<worker>/assignment`` of one worker, and an ear for the others'.

    :param node: the executor's node.
    :param fleet: the fleet.
    :param worker: name of this worker.
    :param topic: makes absolute topic names.
    :param heard: called with the copies that come.
    """

    def __init__(
        self,
        node: Node,
        fleet: Fleet,
        worker: str,
        topic: Callable[[str], str],
        heard: Callable[[Assignment], None],
    ) -> None:
        self._node = node
        self._others = [topic(_name(other)) for other in fleet.workers if other != worker]
        self._heard = heard
        self._out = node.create_publisher(Assignment, topic(_name(worker)), qos.ASSIGNMENT)
        self._ears: list[Subscription] = []

    def offer(self, message: Assignment) -> None:
        """Pass on the assignment in force, and cease to ask for one."""
        self._out.publish(message)
        self._deafen()

    def ask(self) -> None:
        """Listen to the others' copies until there is an assignment."""
        if not self._ears:
            self._ears = [
                self._node.create_subscription(Assignment, name, self._heard, qos.ASSIGNMENT)
                for name in self._others
            ]

    def close(self) -> None:
        """Withdraw all."""
        self._deafen()
        self._node.destroy_publisher(self._out)

    def _deafen(self) -> None:
        for ear in self._ears:
            self._node.destroy_subscription(ear)
        self._ears.clear()


def _name(worker: str) -> str:
    return f'workers/{worker}/assignment'
