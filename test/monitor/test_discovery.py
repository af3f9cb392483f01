# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pamdi_ros.monitor.discovery import find_fleets

STATUS = ['pamdi_ros/msg/WorkerStatus']
STATS = ['pamdi_ros/msg/SourceStats']


def test_fleets_are_found_under_any_namespace() -> None:
    found = find_fleets(
        [
            ('/f/workers/robot1/status', STATUS),
            ('/hall/2/f/workers/robot1/status', STATUS),
            ('/hall/2/f/workers/robot2/status', STATUS),
            ('/hall/2/f/sources/camera/stats', STATS),
            ('/hall/2/f/sources/camera/result', ['pamdi_ros/msg/InferenceResult']),
        ]
    )
    assert list(found) == ['/f', '/hall/2/f']
    assert found['/hall/2/f'].workers == {'robot1', 'robot2'}
    assert found['/hall/2/f'].sources == {'camera'}


def test_other_topics_of_such_names_are_no_fleet() -> None:
    assert find_fleets([('/f/workers/robot1/status', ['std_msgs/msg/String'])]) == {}
    assert find_fleets([('/workers/robot1/status', STATUS)]) == {}
