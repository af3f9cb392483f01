# SPDX-License-Identifier: Apache-2.0
"""Opens whatever a person may name as a recording."""

from __future__ import annotations

from pathlib import Path

from pamdi_ros.recording.bag import read_bag, storage_files
from pamdi_ros.recording.errors import RecordingError
from pamdi_ros.recording.lines import read_lines
from pamdi_ros.recording.records import Recording
from pamdi_ros.recording.summary_file import read_summary

#: What `pamdi demo` writes into its directory.
LINES_NAME = 'recording.jsonl'
SUMMARY_NAME = 'report.json'


def read_recording(path: Path, fleet: str | None = None) -> Recording:
    """Read a recorded run.

    :param path: a rosbag2 directory or one of its files; a directory of `pamdi demo`; its
        recording.jsonl; a summary written by --json.
    :param fleet: name or namespace of the fleet, where several were recorded.
    :raises RecordingError: it cannot be read, or tells of no fleet
    """
    try:
        return _read(path.expanduser(), fleet)
    except RecordingError as error:
        raise RecordingError(f'{path}: {error}') from error


def _read(path: Path, fleet: str | None) -> Recording:
    if not path.exists():
        raise RecordingError('no such file or directory')
    if path.is_dir() and (path / LINES_NAME).is_file():
        return _read(path / LINES_NAME, fleet)
    if storage_files(path):
        return read_bag(path, fleet)
    if path.is_dir() and (path / SUMMARY_NAME).is_file():
        return read_summary(path / SUMMARY_NAME)
    if path.suffix == '.jsonl':
        return read_lines(path, fleet)
    if path.suffix == '.json':
        return read_summary(path)
    raise RecordingError(
        f'no recording: neither a rosbag2 directory (metadata.yaml, .db3 or .mcap) nor one of '
        f'`pamdi demo` ({LINES_NAME} or {SUMMARY_NAME})'
    )
