# SPDX-License-Identifier: Apache-2.0
"""Recorded runs of a fleet, read back: from rosbag2 or from `pamdi demo`. Needs no ROS.

:func:`read_recording` gives a :class:`Recording`; what it came from is forgotten there.
"""

from pamdi_ros.recording.errors import RecordingError
from pamdi_ros.recording.read import read_recording
from pamdi_ros.recording.records import Recording

__all__ = ['Recording', 'RecordingError', 'read_recording']
