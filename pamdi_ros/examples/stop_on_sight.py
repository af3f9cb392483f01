# SPDX-License-Identifier: Apache-2.0
"""Stops a robot while its camera's answers show something it must not run into.

Reads a source's answers and tells the rest of the robot, ten times a second:

- ``stop`` (std_msgs/Bool): a lock of twist_mux, which Nav2 robots put before their motors. Give
  the lock a timeout: twist_mux then also stops when this node dies.
- ``speed_limit`` (nav2_msgs/SpeedLimit, where Nav2 is installed): Nav2's controller obeys it.

An example, not a certified safety function.
"""

from __future__ import annotations

import time
from typing import Any

from pamdi_ros.examples.speed_decision import decide, NEVER_S, Rule, sighted, SpeedDecision
from pamdi_ros.msg import InferenceResult
from rcl_interfaces.msg import ParameterDescriptor
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_msgs.msg import Bool

PERIOD_S = 0.1


class StopOnSight(Node):
    """Remembers when it last got an answer and when it last saw something; decides by the rule."""

    def __init__(self) -> None:
        super().__init__('stop_on_sight')
        self._rule = Rule(
            watch=frozenset(self._parameter('watch', ['person'], 'labels or class numbers')),
            min_score=self._parameter('min_score', 0.3, 'least score of a sight, 0 to 1'),
            hold_s=self._parameter('hold_s', 1.0, 'stays stopped after a sight [s]'),
            slow_after_s=self._parameter('slow_after_s', 0.5, 'slow if answers are older [s]'),
            stop_after_s=self._parameter('stop_after_s', 2.0, 'stop if answers are older [s]'),
            slow_percent=self._parameter('slow_percent', 30.0, 'speed when slow [%]'),
        )
        self._answered_s = self._sighted_s = -NEVER_S
        self._sight = ''
        self._told: SpeedDecision | None = None
        self._stop = self.create_publisher(Bool, 'stop', 1)
        self._limit = _speed_limit_type()
        self._speed = self.create_publisher(self._limit, 'speed_limit', 1) if self._limit else None
        self.create_subscription(InferenceResult, 'result', self._heard, 10)
        self.create_timer(PERIOD_S, self._tell, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _parameter(self, name: str, default: Any, description: str) -> Any:
        descriptor = ParameterDescriptor(description=description, read_only=True)
        return self.declare_parameter(name, default, descriptor).value

    def _heard(self, result: InferenceResult) -> None:
        if result.status != InferenceResult.RESULT:
            return
        frame_s = time.monotonic() - self._age_s(result)
        self._answered_s = max(self._answered_s, frame_s)
        sight = sighted(self._rule, result.labels, result.class_ids, result.scores)
        if sight and frame_s >= self._sighted_s:
            self._sighted_s, self._sight = frame_s, sight

    def _age_s(self, result: InferenceResult) -> float:
        """Age of the answered frame [s]: by its stamp or by the fleet's measure, the larger."""
        stamp = result.header.stamp
        if not (stamp.sec or stamp.nanosec):
            return float(result.latency_s)
        now_s = self.get_clock().now().nanoseconds * 1e-9
        return max(float(result.latency_s), float(now_s - (stamp.sec + stamp.nanosec * 1e-9)))

    def _tell(self) -> None:
        now_s = time.monotonic()
        decision = decide(
            self._rule,
            answer_age_s=now_s - self._answered_s,
            sight_age_s=now_s - self._sighted_s,
            sight=self._sight,
        )
        self._stop.publish(Bool(data=decision.stop))
        if self._speed is not None:
            limit = self._limit(percentage=True, speed_limit=decision.speed_percent)
            limit.header.stamp = self.get_clock().now().to_msg()
            self._speed.publish(limit)
        if decision != self._told:
            self._told = decision
            what = 'stop' if decision.stop else f'drive at {decision.speed_percent:g} %'
            self.get_logger().info(f'{what}: {decision.reason or "nothing in sight"}')


def _speed_limit_type() -> Any:
    """nav2_msgs/SpeedLimit; None where Nav2 is not installed."""
    try:
        from nav2_msgs.msg import SpeedLimit
    except ImportError:
        return None
    return SpeedLimit


def main(args: list[str] | None = None) -> None:
    """Run the node until it is told to stop."""
    rclpy.init(args=args)
    node = StopOnSight()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
