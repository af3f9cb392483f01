# SPDX-License-Identifier: Apache-2.0
"""Sensor messages to what a model reads: bytes, message, array, tensor. No node, no spinning.

Here is what every home needs; ``prepare`` makes tensors and needs torch and OpenCV for it.
"""

from pamdi_ros.nodes.sensors.bad_input import BadInput, DEFAULT_LIMITS, InputLimits
from pamdi_ros.nodes.sensors.message import check_size, decode, header_of, message_class

__all__ = [
    'DEFAULT_LIMITS',
    'BadInput',
    'InputLimits',
    'check_size',
    'decode',
    'header_of',
    'message_class',
]
