# SPDX-License-Identifier: Apache-2.0
"""Sensor messages to what a model reads: bytes, message, array, tensor. No node, no spinning."""

from pamdi_ros.nodes.sensors.bad_input import BadInput, DEFAULT_LIMITS, Limits
from pamdi_ros.nodes.sensors.cloud import Cloud, read_cloud
from pamdi_ros.nodes.sensors.image import compressed_to_rgb, image_to_rgb
from pamdi_ros.nodes.sensors.message import check_size, decode, header_of, message_class
from pamdi_ros.nodes.sensors.prepare import prepare
from pamdi_ros.nodes.sensors.preprocess import to_input
from pamdi_ros.nodes.sensors.projection import range_image, scaled
from pamdi_ros.nodes.sensors.text import read_text

__all__ = [
    'DEFAULT_LIMITS',
    'BadInput',
    'Cloud',
    'Limits',
    'check_size',
    'compressed_to_rgb',
    'decode',
    'header_of',
    'image_to_rgb',
    'message_class',
    'prepare',
    'range_image',
    'read_cloud',
    'read_text',
    'scaled',
    'to_input',
]
