# SPDX-License-Identifier: Apache-2.0
"""Which topics tell of which fleet."""

from __future__ import annotations

from pamdi_ros.recording.errors import RecordingError
from pamdi_ros.recording.topics import choose_fleet, Kind, kind_of
import pytest


@pytest.mark.parametrize(
    ('topic', 'name', 'expected'),
    [
        ('/demo/results', 'InferenceResult', ('/demo', Kind.RESULT)),
        ('/site/demo/results', 'InferenceResult', ('/site/demo', Kind.RESULT)),
        ('/demo/sources/camera/result', 'InferenceResult', ('/demo', Kind.RESULT)),
        ('/demo/sources/camera/stats', 'SourceStats', ('/demo', Kind.STATS)),
        ('/demo/workers/robot1/status', 'WorkerStatus', ('/demo', Kind.STATUS)),
        ('/demo/assignment', 'Assignment', ('/demo', Kind.ASSIGNMENT)),
        ('/results', 'InferenceResult', ('/', Kind.RESULT)),
        ('/demo/workers/robot1/assignment', 'Assignment', None),  # a copy
        ('/demo/workers/robot1/inbox/critical', 'Task', None),
        ('/demo/workers/robot1/chunks/critical', 'Chunk', None),
        ('/demo/results', 'SourceStats', None),
    ],
)
def test_a_topic_is_known_by_its_name_and_type(
    topic: str, name: str, expected: tuple[str, Kind] | None
) -> None:
    assert kind_of(topic, f'pamdi_ros/msg/{name}') == expected


def test_other_packages_topics_are_not_ours() -> None:
    assert kind_of('/demo/results', 'other_msgs/msg/InferenceResult') is None


@pytest.mark.parametrize('wanted', ['demo', '/site/demo', 'site/demo/'])
def test_a_fleet_is_chosen_by_name_or_namespace(wanted: str) -> None:
    assert choose_fleet(['/site/demo', '/other', '/site/demo'], wanted) == '/site/demo'


def test_the_only_fleet_needs_no_name() -> None:
    assert choose_fleet(['/demo', '/demo'], None) == '/demo'


@pytest.mark.parametrize(
    ('known', 'wanted', 'said'),
    [
        (['/a', '/b'], None, 'several fleets were recorded: /a, /b; choose one: --fleet F'),
        (['/a', '/b'], 'c', 'no fleet c was recorded, only /a, /b'),
        (['/x/a', '/y/a'], 'a', 'a fits /x/a, /y/a; give the whole namespace'),
    ],
)
def test_what_is_not_clear_is_said(known: list[str], wanted: str | None, said: str) -> None:
    with pytest.raises(RecordingError, match=said):
        choose_fleet(known, wanted)
