# SPDX-License-Identifier: Apache-2.0
"""A small fleet and its tasks, for the tests of what travels between workers."""

from __future__ import annotations

import numpy as np
from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.nodes.conversions.task_message import SensorHeader
from pamdi_ros.worker import ItemKey, Task

FLEET: Fleet = parse_fleet(
    {
        'fleet': 'duo',
        'priority_classes': {
            'critical': {'weight': 16, 'qos': {'depth': 4}},
            'normal': {'weight': 4, 'qos': {'depth': 4, 'reliability': 'best_effort'}},
        },
        'models': {'net': {'zoo': 'resnet18'}, 'seg': {'zoo': 'resnet50'}},
        'workers': {'a': {}, 'b': {}, 'c': {}},
        'links': {'default': {'bandwidth_mbps': 100, 'latency_ms': 2}},
        'sources': {
            'eye': {
                'worker': 'a', 'topic': 't', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
                'priority': 'critical',
            },
            'scan': {
                'worker': 'b', 'topic': 's', 'type': 'sensor_msgs/msg/Image', 'model': 'seg',
                'priority': 'normal',
            },
        },
    }
)  # fmt: skip


def task(elements: int = 1000, **changes: object) -> Task:
    """Return a task of source `eye` whose payload is one float tensor.

    :param elements: of the tensor.
    """
    tensor = np.arange(elements, dtype=np.float32)
    values = {
        'key': ItemKey('eye', 5, 1), 'home': 'a', 'model': 'net', 'priority_class': 'critical',
        'rank': 0, 'arrived_s': 100.0, 'received_s': 100.0, 'lifespan_s': 3.0, 'next_unit': 2,
        'payload': (tensor,), 'payload_bytes': 4 * elements, 'epoch': 3,
        'header': SensorHeader(1, 2, 'camera'),
    }  # fmt: skip
    return Task(**{**values, **changes})  # type: ignore[arg-type]
