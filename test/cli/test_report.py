# SPDX-License-Identifier: Apache-2.0
"""`pamdi report`: where the page goes, what it says, exit codes."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

from pamdi_ros.cli.main import main
from pamdi_ros.cli.report import beside
import pytest
from recording.cases import run_of, write_bag


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(tmp_path_factory.mktemp('bags') / 'night', run_of(seconds=4), 'mcap')


def test_a_page_is_written(bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / 'new' / 'page.html'
    assert main(['report', str(bag), '--out', str(out)]) == 0
    assert out.read_text(encoding='utf-8').startswith('<!DOCTYPE html>')
    said = capsys.readouterr().out
    assert said.startswith('demo: 2 sources, 3 workers, ')
    assert str(out) in said


@pytest.mark.parametrize(
    ('name', 'expected'), [('night', 'night.html'), ('v1.2', 'v1.2.html'), ('r.json', 'r.html')]
)
def test_without_out_the_page_lies_beside_the_recording(
    tmp_path: Path, name: str, expected: str
) -> None:
    path = tmp_path / name
    path.touch() if name.endswith('json') else path.mkdir()
    assert beside(path) == tmp_path / expected


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['nowhere'], 'no such file or directory'),
        (['{bag}', '--fleet', 'other'], 'no fleet other was recorded, only /demo'),
        (['{bag}/metadata.yaml'], 'no recording'),
    ],
)
def test_bad_input_is_exit_code_2(
    bag: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['report', *(one.format(bag=bag) for one in arguments)]) == 2
    told = capsys.readouterr()
    assert told.out == ''
    assert told.err.startswith('pamdi report: ')
    assert said in told.err
    assert told.err.count('\n') == 1


def test_a_page_that_cannot_be_written_is_a_failure(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'file').touch()
    assert main(['report', str(bag), '--out', str(tmp_path / 'file' / 'page.html')]) == 1
    assert 'pamdi: ' in capsys.readouterr().err


def test_no_ros_is_needed(bag: Path, tmp_path: Path) -> None:
    code = (
        'import sys\n'
        "sys.modules.update(dict.fromkeys(('rclpy', 'std_msgs', 'torch', 'pamdi_ros.msg')))\n"
        'from pamdi_ros.cli.main import main\n'
        f"sys.exit(main(['report', {str(bag)!r}, '--out', {str(tmp_path / 'p.html')!r}]))"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
