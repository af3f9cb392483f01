# SPDX-License-Identifier: Apache-2.0
"""Whatever a person names: the demo's directory, a summary, or neither that nor a bag."""

from __future__ import annotations

import json
from pathlib import Path

from pamdi_ros.recording import read_recording, RecordingError
import pytest
from recording.cases import result
from recording.test_lines import written

SUMMARY = {
    'sources': {
        'camera': {
            'accepted': 10, 'results': 7, 'late': 1, 'in_flight': 1, 'dropped': {'expired': 2},
            'mean_ms': 50.0, 'p50_ms': 40.0, 'p95_ms': 90.0, 'solo_ms': None, 'priority': 'high',
        }
    },
    'workers': {
        'robot1': {
            'heard': True, 'busy_share': 0.25, 'bytes_in': 100, 'bytes_out': 200, 'tasks_run': 9,
            'memory_mb': 12.5, 'units': ['net[0:3)'], 'dropped': {},
        },
        'robot2': {'heard': False},
    },
    'emulated': True,
}  # fmt: skip


def test_a_summary_has_sums(tmp_path: Path) -> None:
    path = tmp_path / 'run.json'
    path.write_text(json.dumps(SUMMARY), encoding='utf-8')
    recording = read_recording(path)
    assert recording.fleet == 'run'  # an older summary does not name its fleet
    assert recording.emulated
    camera = recording.sources['camera']
    assert (camera.late, camera.in_flight, camera.dropped()) == (1, 1, {'expired': 2})
    robot = recording.workers['robot1']
    assert (robot.busy.mean(), robot.memory, robot.total()) == (0.25, 12_500_000, (100, 200, 9))
    assert recording.workers['robot2'].total() == (0, 0, 0)
    assert 'Only the sums' in recording.notes[0]


def test_the_demos_directory_is_read_by_its_lines(tmp_path: Path) -> None:
    (tmp_path / 'report.json').write_text(json.dumps(SUMMARY), encoding='utf-8')
    assert read_recording(tmp_path).storage == 'summary'
    written(tmp_path / 'recording.jsonl', [result(1, 0.1)])
    assert read_recording(tmp_path).storage == 'JSON lines'


@pytest.mark.parametrize('text', ['', '[]', '{}', '{"sources": {"a": {}}, "emulated": false}'])
def test_other_json_is_no_summary(tmp_path: Path, text: str) -> None:
    path = tmp_path / 'other.json'
    path.write_text(text, encoding='utf-8')
    with pytest.raises(RecordingError, match='not what `pamdi up --json`'):
        read_recording(path)


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r'nowhere: no such file or directory'):
        read_recording(tmp_path / 'nowhere')


@pytest.mark.parametrize('name', ['notes.txt', 'empty'])
def test_something_else_is_told(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix:
        path.write_text('hello', encoding='utf-8')
    else:
        path.mkdir()
    with pytest.raises(RecordingError, match='no recording: neither a rosbag2 directory'):
        read_recording(path)
