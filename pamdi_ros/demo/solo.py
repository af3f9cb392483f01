# SPDX-License-Identifier: Apache-2.0
"""Each sensor alone: one message at a time, the next when its result is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
import time

from pamdi_ros.demo.sensor import DemoSensor
from pamdi_ros.msg import InferenceResult
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

#: A message may be lost on the way to the fleet; then another one is sent after this time [s].
PATIENCE_S = 5.0
LOOK_S = 0.1


def play_alone(
    node: Node,
    executor: SingleThreadedExecutor,
    played: list[DemoSensor],
    prefix: str,
    count: int,
    stopped: Callable[[], bool],
) -> None:
    """Have every sensor publish alone, so that its results show the latency without the others.

    :param prefix: absolute namespace of the fleet's topics.
    :param count: results wanted of each source.
    :param stopped: tells whether to give up.
    """
    results: Counter[str] = Counter()

    def count_result(message: InferenceResult) -> None:
        results[message.source] += 1

    heard = node.create_subscription(InferenceResult, f'{prefix}/results', count_result, 50)
    try:
        while not stopped() and not all(sensor.is_heard() for sensor in played):
            executor.spin_once(timeout_sec=LOOK_S)
        for sensor in played:
            for wanted in range(1, count + 1):
                _until(sensor, wanted, node, executor, results, stopped)
    finally:
        node.destroy_subscription(heard)


def _until(
    sensor: DemoSensor,
    wanted: int,
    node: Node,
    executor: SingleThreadedExecutor,
    results: Counter[str],
    stopped: Callable[[], bool],
) -> None:
    """Publish until one more result is there."""
    next_s = 0.0
    while results[sensor.source.name] < wanted and not stopped():
        if time.monotonic() >= next_s:
            sensor.publish(node.get_clock().now().to_msg())
            next_s = time.monotonic() + PATIENCE_S
        executor.spin_once(timeout_sec=LOOK_S)
