# SPDX-License-Identifier: Apache-2.0
"""Bags of both storage kinds, read back; and those that cannot be read."""

from __future__ import annotations

from pathlib import Path
import shutil

from pamdi_ros.msg import InferenceResult
from pamdi_ros.recording import read_recording, Recording, RecordingError
import pytest
from recording.cases import (
    BEGAN_NS,
    dropped,
    forget_definitions,
    result,
    run_of,
    stats,
    status,
    STORAGES,
    write_bag,
)
from std_msgs.msg import String

SECONDS = 6
ITEMS = 10 * SECONDS


@pytest.fixture(scope='module', params=list(STORAGES))
def storage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope='module')
def bag(storage: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bag of a run of two sources."""
    return write_bag(tmp_path_factory.mktemp(storage) / 'run', run_of(seconds=SECONDS), storage)


@pytest.fixture
def mine(bag: Path, tmp_path: Path) -> Path:
    """Copy of the bag that a test may spoil."""
    return Path(shutil.copytree(bag, tmp_path / 'mine'))


def check(recording: Recording) -> None:
    """Hold a recording against the run that was written."""
    assert recording.fleet == 'demo'
    assert recording.policy == 'pa_mdi_plus'
    assert recording.epochs.changes == [(0.0, 1), (SECONDS // 3, 2)]
    assert list(recording.sources) == ['camera', 'lidar']
    assert list(recording.workers) == ['robot1', 'robot2', 'robot3']
    for source in recording.sources.values():
        assert source.answered + source.dropped().total() == ITEMS
        assert source.latency.seen == source.answered
        assert source.deadline_s == pytest.approx(0.2)
        assert source.solo_s == pytest.approx(0.03)
    camera = recording.sources['camera']
    assert [value for _, value in camera.classes.changes] == ['critical', 'normal']
    assert set(camera.dropped()) <= {'queue_full', 'expired'}
    assert camera.model == 'net0'
    slowest = camera.examples.chosen()[0].item
    assert slowest.latency_s == pytest.approx(camera.latency.values.max())
    assert [stay.worker for stay in slowest.stays] == ['robot1', 'robot2', 'robot1']
    assert slowest.stays[1].bytes_in == 120_000
    robot = recording.workers['robot3']
    assert robot.busy.count() == SECONDS
    assert robot.links['robot1'].rate.total() > 0
    assert robot.memory_limit == 100_000_000


def test_a_run_is_read_back(bag: Path, storage: str) -> None:
    recording = read_recording(bag)
    check(recording)
    assert recording.storage == f'rosbag2, {storage}'
    assert recording.began == BEGAN_NS / 1e9
    assert recording.duration_s == pytest.approx(SECONDS - 0.02)
    assert recording.notes == []


@pytest.mark.parametrize('mode', ['FILE', 'MESSAGE', 'STORAGE'])
def test_a_compressed_bag_is_read(tmp_path: Path, mode: str) -> None:
    kind = 'mcap' if mode == 'STORAGE' else 'sqlite3'
    recording = read_recording(write_bag(tmp_path / 'run', run_of(seconds=SECONDS), kind, mode))
    check(recording)
    assert recording.storage.startswith(f'rosbag2, {kind}')


def test_a_storage_file_alone_is_enough(bag: Path) -> None:
    (file,) = (one for one in bag.iterdir() if one.name != 'metadata.yaml')
    check(read_recording(file))


def test_a_recorder_that_was_killed_leaves_no_metadata(mine: Path) -> None:
    (mine / 'metadata.yaml').unlink()
    recording = read_recording(mine)
    check(recording)
    assert 'metadata.yaml is missing' in recording.notes[0]


def test_an_old_bag_carries_no_definitions(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'old', run_of(seconds=SECONDS))
    forget_definitions(bag)
    check(read_recording(bag))


def test_without_definitions_anywhere_nothing_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag = write_bag(tmp_path / 'old', run_of(seconds=1))
    forget_definitions(bag)
    monkeypatch.setattr('pamdi_ros.recording.messages.definitions', dict)
    with pytest.raises(RecordingError, match='carries no definition of pamdi_ros/msg/Assignment'):
        read_recording(bag)


def test_the_bags_own_definitions_win(bag: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording of another version of this package is read by that version's definitions."""
    monkeypatch.setattr(
        'pamdi_ros.recording.messages.definitions',
        lambda: {'pamdi_ros/msg/WorkerStatus': 'string worker', 'pamdi_ros/msg/Hop': 'bool odd'},
    )
    check(read_recording(bag))


def test_messages_of_another_version_without_definitions_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag = write_bag(tmp_path / 'old', [(0.0, '/demo/workers/a/status', status())])
    forget_definitions(bag)
    monkeypatch.setattr(
        'pamdi_ros.recording.messages.definitions',
        lambda: {'pamdi_ros/msg/WorkerStatus': 'string[] nothing\nfloat64[] of\nstring[] it'},
    )
    with pytest.raises(RecordingError, match='do not fit the definitions'):
        read_recording(bag)


def test_one_source_results_count_where_the_fleets_are_missing(tmp_path: Path) -> None:
    messages = [entry for entry in run_of(seconds=3) if entry[1] != '/demo/results']
    recording = read_recording(write_bag(tmp_path / 'run', messages))
    assert recording.heard['RESULT'] == 2 * 30


def test_tensors_are_not_looked_at(tmp_path: Path) -> None:
    messages = [
        (0.0, '/demo/results', result(1, 0.05)),
        (1.0, '/demo/workers/robot1/inbox/critical', InferenceResult()),
        (2.0, '/chatter', String(data='hello')),
    ]
    recording = read_recording(write_bag(tmp_path / 'run', messages))
    assert recording.heard == {'RESULT': 1}
    assert recording.duration_s == 0.0


def test_of_several_fleets_one_is_chosen(tmp_path: Path) -> None:
    messages = [
        *((at_s, topic, message) for at_s, topic, message in run_of(seconds=2)),
        (3.0, '/site/other/results', dropped(1, 'no_route: none', 'x')),
    ]
    bag = write_bag(tmp_path / 'two', messages)
    with pytest.raises(RecordingError, match='several fleets were recorded: /demo, /site/other'):
        read_recording(bag)
    assert list(read_recording(bag, 'other').sources) == ['x']
    assert list(read_recording(bag, '/demo').sources) == ['camera', 'lidar']


def test_statistics_alone_count_the_drops(tmp_path: Path) -> None:
    told = [
        stats(accepted=9, results=5, late=2, dropped=4, drop_reasons=['expired'], drop_counts=[4]),
        stats(incarnation=8, results=1, late=1, drop_reasons=['no_time'], drop_counts=[2]),
    ]
    messages = [(float(at), '/demo/sources/camera/stats', one) for at, one in enumerate(told)]
    source = read_recording(write_bag(tmp_path / 'run', messages)).sources['camera']
    assert source.dropped() == {'expired': 4, 'no_time': 2}


# --- what cannot be read ------------------------------------------------------------------------


def test_a_bag_of_others_is_told(tmp_path: Path, storage: str) -> None:
    bag = write_bag(tmp_path / 'run', [(0.0, '/chatter', String(data='hello'))], storage)
    with pytest.raises(RecordingError, match=r'no topic of a pamdi fleet.*topics: /chatter'):
        read_recording(bag)


def test_a_bag_with_nothing_in_it_is_told(tmp_path: Path, storage: str) -> None:
    with pytest.raises(RecordingError, match=r'no topic of a pamdi fleet.*none at all'):
        read_recording(write_bag(tmp_path / 'run', [], storage))


@pytest.mark.parametrize('share', [0.0, 0.001, 0.3, 0.7, 0.99])
def test_a_truncated_bag_is_told(mine: Path, share: float) -> None:
    (file,) = (one for one in mine.iterdir() if one.name != 'metadata.yaml')
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    with pytest.raises(RecordingError, match='damaged or was cut off'):
        read_recording(mine)


def test_a_bag_without_its_file_is_told(mine: Path) -> None:
    (file,) = (one for one in mine.iterdir() if one.name != 'metadata.yaml')
    file.unlink()
    with pytest.raises(RecordingError, match='files are missing'):
        read_recording(mine)


@pytest.mark.parametrize('text', ['', '{', 'rosbag2_bagfile_information: 3', 'a: b'])
def test_broken_metadata_is_told(mine: Path, text: str) -> None:
    (mine / 'metadata.yaml').write_text(text, encoding='utf-8')
    with pytest.raises(RecordingError, match='damaged or was cut off'):
        read_recording(mine)
