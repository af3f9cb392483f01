# SPDX-License-Identifier: Apache-2.0
"""A process on a robot that publishes its sensors' messages at given times.

It reads a JSON object a line from standard input, ``{"begin_s": …, "arrivals": {SOURCE: [s, …]}}``
with the time of day and times since then, and says ``ready`` once all its topics are heard. The
messages are empty but for their stamp: the workers' arithmetic is emulated.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from pamdi_ros.fleet import Fleet, fleet_prefix, load_fleet, resolve_topic, TEXT_TYPE
from pamdi_ros.nodes.fleet_node import die_with_parent
from pamdi_ros.nodes.sensors import message_class
import rclpy
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions

READY = 'ready'
#: A reader that is matched here may not know the writer yet [s].
SETTLE_S = 0.5
#: Messages that wait for a slow reader.
DEPTH = 50


class Player:
    """Publishers of the sources of one worker.

    :param fleet: the fleet.
    :param worker: home of the sources.
    """

    def __init__(self, fleet: Fleet, worker: str) -> None:
        prefix = fleet_prefix(fleet)
        self._node = rclpy.create_node('player', namespace=f'{prefix}/{worker}')
        self._own = {n: s for n, s in fleet.sources.items() if s.worker == worker}
        self._kinds = {name: message_class(source.type) for name, source in self._own.items()}
        self._publishers = {
            name: self._node.create_publisher(
                self._kinds[name], resolve_topic(prefix, source), QoSProfile(depth=DEPTH)
            )
            for name, source in self._own.items()
        }

    def wait(self) -> None:
        """Wait until every topic is heard."""
        while not all(p.get_subscription_count() for p in self._publishers.values()):
            time.sleep(0.05)
        time.sleep(SETTLE_S)

    def play(self, begin_s: float, arrivals: dict[str, list[float]]) -> None:
        """Publish at the times given, since a time of day [s]."""
        offset_s = begin_s - time.time()
        zero_s = time.monotonic() + offset_s
        due = sorted((at_s, name) for name in self._own for at_s in arrivals.get(name, ()))
        for at_s, name in due:
            if (left_s := zero_s + at_s - time.monotonic()) > 0:
                time.sleep(left_s)
            self._publishers[name].publish(self._message(name))

    def _message(self, name: str) -> Any:
        message = self._kinds[name]()
        if self._own[name].type != TEXT_TYPE:
            message.header.stamp = self._node.get_clock().now().to_msg()
        return message


def main() -> None:
    """Play what standard input says: ``player FLEET WORKER``."""
    die_with_parent()
    fleet_file, worker = sys.argv[1:3]
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    player = Player(load_fleet(fleet_file), worker)
    threading.Thread(target=_greet, args=(player,), daemon=True).start()
    for line in sys.stdin:
        order = json.loads(line)
        player.play(order['begin_s'], order['arrivals'])
    rclpy.try_shutdown()


def _greet(player: Player) -> None:
    player.wait()
    print(READY, flush=True)


if __name__ == '__main__':
    main()
