# SPDX-License-Identifier: Apache-2.0
"""One node that plays every sensor of a fleet: publishes on each source's topic at its rate."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import itertools
import os
import signal
import sys
import time

from pamdi_ros.demo.sensor import DemoSensor
from pamdi_ros.demo.solo import play_alone
from pamdi_ros.demo.streams import stream
from pamdi_ros.fleet import (
    Fleet,
    fleet_nodes,
    FleetError,
    load_fleet,
    resolve_topic,
    TEXT_TYPE,
)
from pamdi_ros.fleet.launch_plan import fleet_prefix
from pamdi_ros.nodes.fleet_node import die_with_parent
from pamdi_ros.simulation.arrivals import gaps
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data, QoSProfile
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

#: Rate of a source whose fleet file gives a load_share instead [1/s].
DEFAULT_RATE_HZ = 1.0
LOOK_S = 0.1
REMIND_S = 30.0


def sensors(node: Node, fleet: Fleet, prefix: str, seed: int) -> list[DemoSensor]:
    """Sensors of all sources of a fleet, their messages made.

    :param prefix: absolute namespace of the fleet's topics
    """
    made = []
    for place, source in enumerate(fleet.sources.values()):
        rate_hz = source.rate_hz or DEFAULT_RATE_HZ
        topic = resolve_topic(prefix, source)
        messages = stream(source, rate_hz, seed=seed + place)
        qos = QoSProfile(depth=10) if source.type == TEXT_TYPE else qos_profile_sensor_data
        made.append(
            DemoSensor(
                source=source,
                publisher=node.create_publisher(type(messages[0]), topic, qos),
                messages=itertools.cycle(messages),
                gaps=gaps(source.arrival, rate_hz, seed + place),
            )
        )
        node.get_logger().info(f'{source.name}: {source.type} at {rate_hz:g} Hz on {topic}')
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM.

    :returns: exit code: 0, or 2 where the fleet file is bad
    """
    words = sys.argv if argv is None else ['demo_sensors', *argv]
    options = _parser().parse_args(remove_ros_args(words)[1:])
    die_with_parent()
    try:
        fleet = load_fleet(options.fleet)
    except FleetError as error:
        print(error, file=sys.stderr)
        return 2
    # Without the fleet's profile Fast DDS loses most best-effort frames above 512 KB.
    os.environ.update(fleet_nodes(fleet, fleet_file=options.fleet, workers=())[0].environment)
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: stopped.append(received))
    rclpy.init(args=words, signal_handler_options=SignalHandlerOptions.NO)
    prefix = fleet_prefix(fleet, options.namespace)
    node = rclpy.create_node('demo_sensors', namespace=prefix)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        played = sensors(node, fleet, prefix, options.seed)
        if options.solo:
            play_alone(node, executor, played, prefix, options.solo, lambda: bool(stopped))
        _play(node, executor, played, stopped)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown()
    return 0


def _play(
    node: Node, executor: SingleThreadedExecutor, played: list[DemoSensor], stopped: list[int]
) -> None:
    remind_s = time.monotonic() + REMIND_S
    while not stopped:
        now_s = time.monotonic()
        for sensor in played:
            sensor.step(now_s, node.get_clock().now().to_msg())
        if now_s > remind_s:
            for sensor in played:
                if sensor.due_s is None:
                    topic = sensor.publisher.topic_name
                    node.get_logger().info(f'{topic}: still waiting for a subscriber')
            remind_s = now_s + REMIND_S
        next_s = min((s.due_s for s in played if s.due_s is not None), default=now_s + LOOK_S)
        # A signal does not end the wait, hence its bound.
        executor.spin_once(timeout_sec=min(max(next_s - time.monotonic(), 0.0), LOOK_S))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='demo_sensors',
        description=__doc__,
        epilog='example: demo_sensors --fleet config/demo.yaml',
    )
    parser.add_argument('--fleet', required=True, metavar='FILE', help='the fleet file')
    parser.add_argument('--namespace', default='', help="put before the fleet's namespace")
    parser.add_argument('--seed', type=int, default=0, help='of arrivals, noise and sentences')
    parser.add_argument(
        '--solo', type=int, default=0, metavar='N', help='first N items of each source alone'
    )
    return parser


if __name__ == '__main__':
    sys.exit(main())
