# SPDX-License-Identifier: Apache-2.0
"""JSON lines hold what a report needs of the messages, and give the recording that a bag gives."""

from __future__ import annotations

from io import StringIO
import json
from pathlib import Path

from pamdi_ros.msg import Tensor
from pamdi_ros.recording import read_recording, RecordingError
from pamdi_ros.recording.lines import LineWriter, plain
import pytest
from recording.cases import dropped, result, run_of, stats, status, write_bag


def written(path: Path, messages: list[object], solo_items: int = 0) -> Path:
    """Write messages as a fleet's monitor would."""
    with path.open('w', encoding='utf-8') as stream:
        writer = LineWriter(stream, 'demo', solo_items)
        for message in messages:
            writer.write(message)
    return path


def test_lines_tell_what_a_bag_tells(tmp_path: Path) -> None:
    run = [entry for entry in run_of(seconds=4) if not entry[1].endswith('/result')]
    lines = read_recording(written(tmp_path / 'run.jsonl', [message for *_, message in run]))
    bag = read_recording(write_bag(tmp_path / 'bag', run))
    assert list(lines.sources) == list(bag.sources)
    assert list(lines.workers) == list(bag.workers)
    for name, source in lines.sources.items():
        other = bag.sources[name]
        assert sorted(source.latency.values) == pytest.approx(sorted(other.latency.values))
        assert source.dropped() == other.dropped()
        mine, theirs = (one.examples.chosen()[0].item for one in (source, other))
        assert (mine.seq, len(mine.stays)) == (theirs.seq, len(theirs.stays))
        assert mine.latency_s == pytest.approx(theirs.latency_s)  # nine digits are written
    assert [epoch for _, epoch in lines.epochs.changes] == [1, 2]


def test_tensors_and_scores_are_left_out() -> None:
    message = result(1, 0.1, outputs=[Tensor(name='logits')], scores=[0.5], labels=['cat'])
    told = plain(message)
    assert not {'outputs', 'scores', 'class_ids'} & set(told)
    assert told['labels'] == ['cat']
    assert told['hops'][1]['bytes_in'] == 120_000
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_what_is_not_finite_is_no_json() -> None:
    assert plain(stats(rate_hz=float('nan')))['rate_hz'] == 0.0
    assert plain(stats(solo_s=float('inf')))['solo_s'] == 0.0


def test_of_a_workers_heartbeats_some_are_enough() -> None:
    stream = StringIO()
    writer = LineWriter(stream, 'demo')
    for _ in range(50):
        writer.write(status('robot1'))
        writer.write(status('robot2'))
        writer.write(stats())
    lines = [json.loads(line) for line in stream.getvalue().splitlines()[1:]]
    kinds = [line['type'] for line in lines]
    assert kinds.count('SourceStats') == 50
    heard = {line['message']['worker'] for line in lines if line['type'] == 'WorkerStatus'}
    assert heard == {'robot1', 'robot2'}
    assert kinds.count('WorkerStatus') < 50


def test_solo_items_stay_out_of_the_latencies(tmp_path: Path) -> None:
    messages = [result(seq, 0.01 if seq <= 3 else 0.1) for seq in range(1, 6)]
    messages += [result(1, 0.2, incarnation=8)]  # a home that came back sends none
    source = read_recording(written(tmp_path / 'r.jsonl', messages, 3)).sources['camera']
    assert source.solo.values == pytest.approx([0.01] * 3)
    assert source.latency.values == pytest.approx([0.1, 0.1, 0.2])
    assert source.answered == 6


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / 'r.jsonl', [result(1, 0.1), dropped(2, 'expired: old')])
    path.write_text(path.read_text()[:-20], encoding='utf-8')
    recording = read_recording(path)
    assert recording.heard == {'RESULT': 1}
    assert 'cut off' in recording.notes[0]


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('', 'first line is not that of a pamdi recording'),
        ('{"a": 1}\n', 'first line is not that of a pamdi recording'),
        ('{"pamdi_recording": 99, "fleet": "x"}\n', 'a later version of pamdi_ros wrote it'),
        ('{"pamdi_recording": 1, "fleet": "x", "solo_items": 0, "began": 0}\n', 'no message'),
        (
            '{"pamdi_recording": 1, "fleet": "x", "solo_items": 0, "began": 0}\n{"at_s": 1}\n',
            'line 2 cannot be read',
        ),
    ],
)
def test_what_is_no_recording_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / 'r.jsonl'
    path.write_text(text, encoding='utf-8')
    with pytest.raises(RecordingError, match=said):
        read_recording(path)


def test_another_fleet_is_not_taken_for_it(tmp_path: Path) -> None:
    path = written(tmp_path / 'r.jsonl', [result(1, 0.1)])
    assert read_recording(path, 'demo').fleet == 'demo'
    with pytest.raises(RecordingError, match='no fleet site was recorded, only demo'):
        read_recording(path, 'site')
