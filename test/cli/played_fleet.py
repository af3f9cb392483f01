# SPDX-License-Identifier: Apache-2.0
"""A fleet of two workers and one source, played by one node that publishes what they would."""

from __future__ import annotations

import threading
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from pamdi_ros.msg import Assignment, Placement, SourceAssignment, SourceStats, WorkerStatus
from pamdi_ros.nodes import qos
import rclpy
from rclpy.executors import SingleThreadedExecutor

PERIOD_S = 0.1
WORKERS = ('one', 'two')
#: The file that such a fleet would have.
TEXT = """
fleet: played
priority_classes: {normal: {weight: 1}}
models: {resnet18: {zoo: resnet18, input_shape: [3, 224, 224]}}
workers: {one: {device: cpu}, two: {device: cpu}}
links: {default: {bandwidth_mbps: 1000, latency_ms: 0.5}}
sources:
  camera: {worker: one, topic: image, type: sensor_msgs/msg/Image, model: resnet18,
           priority: normal}
"""


class PlayedFleet:
    """Publishes from a thread of its own until closed; use it as a context manager.

    :param domain: of ROS.
    :param epoch: of its assignment.
    :param incarnation: which run of the workers this is.
    """

    def __init__(self, domain: int, *, epoch: int = 1, incarnation: int = 1) -> None:
        self._epoch = epoch
        self._incarnation = incarnation
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node('player', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._status = {
            name: self._make(WorkerStatus, f'workers/{name}/status', qos.status_offered(1.0))
            for name in WORKERS
        }
        self._stats = self._make(SourceStats, 'sources/camera/stats', qos.STATISTICS)
        self._assignment = self._make(Assignment, 'assignment', qos.ASSIGNMENT)
        self._diagnostics = self._node.create_publisher(
            DiagnosticArray, '/diagnostics', qos.STATISTICS
        )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._play)

    def __enter__(self) -> PlayedFleet:
        """Begin to play."""
        self._assign(self._epoch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End at once, as a killed fleet would."""
        self._ended.set()
        self._thread.join()
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def assign(self, epoch: int) -> None:
        """Go over to another assignment."""
        self._epoch = epoch
        self._assign(epoch)

    def _make(self, kind: type, name: str, profile: Any) -> Any:
        return self._node.create_publisher(kind, f'/played/{name}', profile)

    def _assign(self, epoch: int) -> None:
        source = SourceAssignment(
            source='camera', model='resnet18', priority_class='normal', unit_count=21
        )
        message = Assignment(fleet='played', epoch=epoch, policy='pa_mdi_plus', sources=[source])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._assignment.publish(message)

    def _play(self) -> None:
        while not self._ended.wait(PERIOD_S):
            now = self._node.get_clock().now().to_msg()
            for name, out in self._status.items():
                status = WorkerStatus(
                    worker=name,
                    incarnation=self._incarnation,
                    epoch=self._epoch,
                    state=WorkerStatus.STATE_SERVING,
                    busy_share=0.25,
                    memory_bytes=40_000_000,
                    priority_classes=['normal'],
                    queue_lengths=[3],
                    backlog_s=[0.1],
                )
                status.placements = [
                    Placement(worker=name, model='resnet18', first_unit=0, last_unit=21)
                ]
                status.header.stamp = now
                out.publish(status)
            self._stats.publish(
                SourceStats(
                    source='camera',
                    incarnation=self._incarnation,
                    priority_class='normal',
                    rate_hz=10.0,
                    result_rate_hz=9.5,
                    latency_p50_s=0.0421,
                )
            )
            warning = DiagnosticStatus(
                name='/played: source camera', level=DiagnosticStatus.WARN, message='late'
            )
            self._diagnostics.publish(DiagnosticArray(status=[warning]))
            self._executor.spin_once(timeout_sec=0)
