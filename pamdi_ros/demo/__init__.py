# SPDX-License-Identifier: Apache-2.0
"""Sensors for a fleet without hardware: photographs, a simulated lidar, sentences."""

from pamdi_ros.demo.lidar import Lidar, scans
from pamdi_ros.demo.photos import photographs
from pamdi_ros.demo.sentences import SENTENCES
from pamdi_ros.simulation.arrivals import gaps

__all__ = ['SENTENCES', 'Lidar', 'gaps', 'photographs', 'scans']
