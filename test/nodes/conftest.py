# SPDX-License-Identifier: Apache-2.0
"""Where the nodes of these tests speak: on this host, as the shipped profile says."""

from __future__ import annotations

from collections.abc import Iterator
import os

from pamdi_ros.fleet.launch_plan import DDS_PROFILE, DDS_PROFILE_VARIABLES
from pamdi_ros.fleet.resources import config_path
import pytest


@pytest.fixture(scope='session', autouse=True)
def on_this_host() -> Iterator[None]:
    """Keep all DDS traffic on this host, and use the shipped profile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        for name in DDS_PROFILE_VARIABLES:
            patch.setenv(name, os.environ.get(name) or str(config_path(DDS_PROFILE)))
        yield
