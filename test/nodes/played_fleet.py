# SPDX-License-Identifier: Apache-2.0
"""A fleet of one worker and one source, played by one node that publishes all there is."""

from __future__ import annotations

import threading
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from pamdi_ros.msg import Assignment, InferenceResult, SourceStats, WorkerStatus
from pamdi_ros.nodes import qos
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

PERIOD_S = 0.05


class PlayedFleet:
    """Publishes from a thread of its own until it is closed.

    :param domain: of ROS.
    :param prefix: absolute namespace of the fleet.
    :param incarnations: of the worker, one after another in turn.
    :param epoch: of the assignment.
    :param allocator: it publishes the assignment itself, not only a worker's copy.
    """

    def __init__(
        self,
        domain: int,
        prefix: str,
        *,
        incarnations: tuple[int, ...] = (1,),
        epoch: int = 1,
        allocator: bool = False,
        assignment: Assignment | None = None,
    ) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = Node('allocator', namespace=prefix, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._incarnations = incarnations
        self._epoch = epoch
        self._warning = DiagnosticStatus(name=f'{prefix}: link a b', level=DiagnosticStatus.WARN)
        make = self.node.create_publisher
        place = 'assignment' if allocator else 'workers/robot1/assignment'
        assigned = make(Assignment, f'{prefix}/{place}', qos.ASSIGNMENT)
        assigned.publish(assignment or Assignment(fleet=prefix, epoch=epoch))
        self._status = make(
            WorkerStatus, f'{prefix}/workers/robot1/status', qos.status_offered(0.3)
        )
        self._stats = make(SourceStats, f'{prefix}/sources/camera/stats', qos.STATISTICS)
        self._results = make(InferenceResult, f'{prefix}/results', qos.RESULT)
        self._diagnostics = make(DiagnosticArray, '/diagnostics', qos.STATISTICS)
        self.said = 0
        self.node.create_timer(PERIOD_S, self._play)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def close(self) -> None:
        """Leave, as a fleet does that is stopped."""
        self._ended.set()
        self._thread.join()
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.shutdown()

    def __enter__(self) -> PlayedFleet:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _spin(self) -> None:
        while not self._ended.is_set():
            self._executor.spin_once(timeout_sec=PERIOD_S)

    def _play(self) -> None:
        self.said += 1
        run = self._incarnations[self.said % len(self._incarnations)]
        message = WorkerStatus(worker='robot1', incarnation=run, epoch=self._epoch)
        message.header.stamp = self.node.get_clock().now().to_msg()
        self._status.publish(message)
        self._stats.publish(SourceStats(source='camera', incarnation=run))
        self._results.publish(InferenceResult(source='camera', seq=self.said))
        self._diagnostics.publish(DiagnosticArray(status=[self._warning]))
