# SPDX-License-Identifier: Apache-2.0
"""Files: many mistakes at once, lines, duplicate keys, broken YAML, relative weights."""

from __future__ import annotations

from pathlib import Path

from pamdi_ros.fleet import FleetError, load_fleet, parse_fleet
import pytest

BAD = """\
fleet: my fleet
polcy: pa_mdi_plus
priority_classes:
  critical: {weight: 4}
  normal: {weight: 16}
  background: {}
models:
  resnet50: {zoo: resnet50, tokens: 64}
  gpt2: {zoo: gpt2, factory: 'a:b'}
workers:
  robot1: {memory_mb: -1}
  robot1: {emulate: true}
  robot2: {}
  robot3: {compute: none}
links:
  pairs:
    - {between: [robot1, robot4], bandwidth_mbps: 0}
    - {between: [robot2, robot2], bandwidth_mbps: 10}
sources:
  camera:
    worker: robt1
    topic: camera/image_raw
    type: sensor_msgs/msg/Image
    model: resnet5
    priority: critcal
    rate_hz: 0
    deadline_ms: 500
    lifespan_ms: 100
  text: {worker: robot2, topic: t, type: std_msgs/msg/String, model: resnet50, priority: normal}
events:
  - {at_s: 4, kill: robot9}
  - {at_s: 5}
"""


def problems_of(tmp_path: Path, text: str | bytes) -> FleetError:
    path = tmp_path / 'fleet.yaml'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FleetError) as caught:
        load_fleet(path)
    assert str(path) in str(caught.value)
    return caught.value


def test_all_mistakes_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    error = problems_of(tmp_path, BAD)
    assert [(problem.line, problem.path) for problem in error.problems] == [
        (1, 'fleet'),
        (2, 'polcy'),
        (5, 'priority_classes.normal.weight'),
        (6, 'priority_classes.background.weight'),
        (8, 'models.resnet50.tokens'),
        (9, 'models.gpt2'),
        (12, 'workers.robot1.ms_per_gflop'),
        (12, 'workers.robot1'),
        (14, 'workers.robot3.compute'),
        (15, 'links'),
        (17, 'links.pairs[0].bandwidth_mbps'),
        (17, 'links.pairs[0].between[1]'),
        (18, 'links.pairs[1].between'),
        (21, 'sources.camera.worker'),
        (24, 'sources.camera.model'),
        (25, 'sources.camera.priority'),
        (26, 'sources.camera.rate_hz'),
        (27, 'sources.camera.deadline_ms'),
        (29, 'sources.text.model'),
        (31, 'events[0].kill'),
        (32, 'events[1]'),
    ]
    text = str(error)
    assert '21 problems' in text
    assert all(problem.remedy in text for problem in error.problems)


def test_a_good_file_gives_the_fleet_of_its_mapping(
    tmp_path: Path, good_text: str, good: dict[str, object]
) -> None:
    path = tmp_path / 'fleet.yaml'
    path.write_text(good_text)
    assert load_fleet(str(path)) == parse_fleet(good)


def test_duplicate_keys_name_both_lines(tmp_path: Path, good_text: str) -> None:
    error = problems_of(tmp_path, good_text + '\npolicy: local\n')
    assert [problem.path for problem in error.problems] == ['policy']
    assert f'lines 4 and {good_text.count(chr(10)) + 2}' in error.problems[0].message


def test_merged_keys_may_be_overridden(tmp_path: Path, good_text: str) -> None:
    path = tmp_path / 'fleet.yaml'
    merged = 'robot2: &base {memory_mb: 10}\n  robot3: {<<: *base, memory_mb: 20}'
    path.write_text(good_text.replace('robot2: {}\n  robot3: {}', merged))
    assert load_fleet(path).workers['robot3'].memory_bytes == 20_000_000


def test_powers_of_ten_are_numbers(tmp_path: Path, good_text: str) -> None:
    path = tmp_path / 'fleet.yaml'
    path.write_text(good_text.replace('memory_mb: 4096', 'memory_mb: 4e3'))
    assert load_fleet(path).workers['robot1'].memory_bytes == 4_000_000_000


def test_weights_and_labels_lie_beside_the_fleet_file(tmp_path: Path, good_text: str) -> None:
    path = tmp_path / 'fleet.yaml'
    path.write_text(good_text.replace("'seed:7'", 'gpt2.safetensors, labels: /words.txt'))
    model = load_fleet(path).models['gpt2']
    assert model.weights == str(tmp_path / 'gpt2.safetensors')
    assert model.labels == '/words.txt'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'empty'),
        ('# only a comment\n', 'empty'),
        ('fleet\n', 'instead of a mapping'),
        ('- fleet\n', 'instead of a mapping'),
        ('fleet: [a, b\nworkers: {}\n', 'line 2, column 8'),
        ('fleet: a\n\tworkers: {}\n', 'line 2, column 1'),
        ('a: 1\n---\nb: 2\n', 'line 2'),
        ('a: *missing\n', 'line 1, column 4'),
        ('a: !!python/object:os.system {}\n', 'line 1, column 4'),
        ('{[1, 2]: 3, ? {a: 1} : 2}\n', 'line 1'),
        ('a: 2026-13-45\n', 'month'),
        ('a: !!bool maybe\n', 'maybe'),
        ('a: ' + '9' * 5000, 'digits'),
        ('[' * 5000, 'nested too deeply'),
        (b'fleet: \xff\xfe\n', 'not YAML'),
        (b'fleet: \x00\n', 'not YAML'),
        ('#' * 4_000_001, 'larger'),
    ],
    ids=range(17),
)
def test_what_is_no_fleet_file_is_told_in_one_problem(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    error = problems_of(tmp_path, text)
    assert len(error.problems) == 1
    assert message in error.problems[0].message


def test_missing_file_and_directory(tmp_path: Path) -> None:
    for path in (tmp_path / 'none.yaml', tmp_path):
        with pytest.raises(FleetError, match='cannot be read'):
            load_fleet(path)


def test_recursive_and_exploding_aliases_end(tmp_path: Path) -> None:
    recursive = problems_of(tmp_path, 'workers: &a {robot1: *a}\n')
    assert any('too deeply' in problem.message for problem in recursive.problems)
    lines = ['a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]']
    lines += [f'a{n}: &a{n} [{", ".join([f"*a{n - 1}"] * 10)}]' for n in range(1, 10)]
    exploding = problems_of(tmp_path, '\n'.join(lines))
    assert any('too large' in problem.message for problem in exploding.problems)


def test_keys_that_are_not_texts_are_told(good: dict[object, object]) -> None:
    good[True] = 1
    good['workers'][3] = {}  # type: ignore[index]
    with pytest.raises(FleetError) as caught:
        parse_fleet(good)  # type: ignore[arg-type]
    assert {'True', 'workers.3'} <= {problem.path for problem in caught.value.problems}


@pytest.mark.parametrize('thing', [None, 3, 'fleet', [], {}])
def test_what_is_no_mapping_or_empty_is_told(thing: object) -> None:
    with pytest.raises(FleetError):
        parse_fleet(thing)  # type: ignore[arg-type]
