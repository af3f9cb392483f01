# SPDX-License-Identifier: Apache-2.0
"""Looks in the graph for publishers and subscribers of a fleet that cannot hear each other."""

from __future__ import annotations

from typing import Any

from pamdi_ros.fleet import Fleet, resolve_topic
from pamdi_ros.nodes import qos
from rclpy.node import Node

#: A sweep is made in so many parts, one at each call.
PARTS = 2

SENSOR_REMEDY = (
    'change the QoS of the publisher, or parameter qos_overrides.{topic}.subscription.* of the '
    'executor'
)
RESULT_REMEDY = 'subscribe as it is offered'


class QosSweep:
    """Compares both ends of the topics between a fleet and everybody else.

    Those between workers are compared by the workers themselves.

    :param node: asks the graph.
    :param fleet: the fleet.
    :param prefix: its absolute namespace.
    """

    def __init__(self, node: Node, fleet: Fleet, prefix: str) -> None:
        self._node = node
        self._topics = {f'{prefix}/results': RESULT_REMEDY, f'{prefix}/assignment': RESULT_REMEDY}
        for name, source in fleet.sources.items():
            self._topics[f'{prefix}/sources/{name}/result'] = RESULT_REMEDY
            topic = resolve_topic(prefix, source)
            self._topics[topic] = SENSOR_REMEDY.format(topic=topic)
        self._part = 0
        self._found: dict[str, str] = {}

    def look(self) -> dict[str, str]:
        """Look at the next part of the topics.

        :returns: topics with an incompatible pair, both profiles and the remedy, all parts'.
        """
        for topic in list(self._topics)[self._part :: PARTS]:
            text = self._mismatch(topic)
            if text:
                self._found[topic] = f'{text}; {self._topics[topic]}'
            else:
                self._found.pop(topic, None)
        self._part = (self._part + 1) % PARTS
        return dict(self._found)

    def _mismatch(self, topic: str) -> str:
        """Return the first pair that does not match; empty: all do."""
        readers = self._node.get_subscriptions_info_by_topic(topic)
        writers = self._node.get_publishers_info_by_topic(topic) if readers else []
        for writer in writers:
            for reader in readers:
                if why := qos.mismatch(writer.qos_profile, reader.qos_profile):
                    return f'{_name(reader)} cannot hear {_name(writer)} ({why})'
        return ''


def _name(info: Any) -> str:
    """Return the full name of the node of an endpoint."""
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'
