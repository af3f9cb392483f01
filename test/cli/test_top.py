# SPDX-License-Identifier: Apache-2.0
"""`pamdi top` as a process: in a terminal, in a pipe, once; with a fleet and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import fcntl
import json
import os
from pathlib import Path
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from cli.played_fleet import PlayedFleet, TEXT
import pytest

DOMAIN = 88
EMPTY_DOMAIN = 89
PATIENCE_S = 90.0
#: Whatever is told to end has ended by then, on a busy machine, too [s].
END_S = 60.0
PAMDI = [sys.executable, str(Path(__file__).parents[2] / 'scripts' / 'pamdi')]
#: Leaves the alternate screen; shows the cursor.
RESTORED = (b'\x1b[?1049l', b'\x1b[?25h')


def environment(domain: int) -> dict[str, str]:
    return {
        **os.environ,
        'ROS_DOMAIN_ID': str(domain),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'TERM': 'xterm-256color',
    }


@pytest.fixture(autouse=True)
def local_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what this process plays on this host."""
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')


@pytest.fixture
def fleet_file(tmp_path: Path) -> Path:
    path = tmp_path / 'fleet.yaml'
    path.write_text(TEXT)
    return path


class Terminal:
    """A terminal in which `pamdi top` is the foreground process.

    :param columns: of the terminal; it has 24 lines.
    """

    def __init__(self, *words: object, domain: int, columns: int = 80) -> None:
        self._outside, self._inside = pty.openpty()
        fcntl.ioctl(self._inside, termios.TIOCSWINSZ, struct.pack('4H', 24, columns, 0, 0))
        self._before = termios.tcgetattr(self._inside)
        self.shown = b''
        self.process = subprocess.Popen(
            [*PAMDI, 'top', '--period', '0.2', *map(str, words)],
            stdin=self._inside,
            stdout=self._inside,
            stderr=self._inside,
            env=environment(domain),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def strike(self, keys: str) -> None:
        """Strike keys."""
        os.write(self._outside, keys.encode())

    def until(self, words: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until words are shown that were not before, and forget what was."""
        end_s = time.monotonic() + patience_s
        while words.encode() not in self.shown:
            assert time.monotonic() < end_s, f'{words!r} is not in {self.shown[-3000:]!r}'
            self._read(0.1)
        self.shown = b''

    def ended(self) -> int:
        """Wait for the end.

        :returns: the exit code.
        """
        end_s = time.monotonic() + END_S
        while self.process.poll() is None:
            assert time.monotonic() < end_s, 'it does not end'
            self._read(0.1)
        while self._read(0.1):
            continue
        return self.process.returncode

    def is_restored(self) -> bool:
        """Tell whether screen, cursor and keyboard are as they were."""
        return (
            all(sequence in self.shown for sequence in RESTORED)
            and termios.tcgetattr(self._inside) == self._before
        )

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._inside)
        os.close(self._outside)

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._outside], [], [], seconds)
        if ready:
            self.shown += os.read(self._outside, 65536)
        return bool(ready)


Start = Callable[..., Terminal]


@pytest.fixture
def start() -> Iterator[Start]:
    """Yield a function that starts the command in a terminal; it ends with the test."""
    started: list[Terminal] = []

    def run(*words: object, domain: int, columns: int = 80) -> Terminal:
        started.append(Terminal(*words, domain=domain, columns=columns))
        return started[-1]

    yield run
    for terminal in started:
        terminal.close()


@pytest.mark.parametrize('end', ['q', 'Ctrl-C', 'SIGTERM'])
def test_it_waits_for_a_fleet_and_ends_cleanly(start: Start, end: str) -> None:
    terminal = start(domain=EMPTY_DOMAIN)
    terminal.until('waiting for any fleet in ROS domain 89')
    if end == 'SIGTERM':
        terminal.process.send_signal(signal.SIGTERM)
    else:
        terminal.strike('q' if end == 'q' else '\x03')
    assert terminal.ended() == 0
    assert terminal.is_restored() and b'Traceback' not in terminal.shown


def test_a_fleet_that_comes_changes_goes_and_comes_again(start: Start, fleet_file: Path) -> None:
    terminal = start(fleet_file, domain=DOMAIN, columns=100)
    terminal.until('waiting for a heartbeat of fleet played')
    with PlayedFleet(DOMAIN, epoch=4) as fleet:
        terminal.until('epoch 4')
        for words in ('42.1', 'resnet18[0:21)', 'late', '2/2 workers serve'):
            terminal.until(words)
        fleet.assign(5)
        terminal.until('epoch 5')
    terminal.until('silent ')
    with PlayedFleet(DOMAIN, epoch=6, incarnation=2):
        terminal.until('epoch 6')
        terminal.until('2/2 workers serve')
    terminal.strike('\x1b[F')  # the End key, whose letters are not meant
    terminal.strike('\x1a')  # Ctrl-Z
    terminal.strike('\x1bOFxz')  # the same of another terminal, and no keys of ours
    terminal.strike('q')
    assert terminal.ended() == 0
    assert terminal.is_restored() and b'Traceback' not in terminal.shown


def once(*words: object, domain: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PAMDI, 'top', *map(str, words)],
        env=environment(domain),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def test_once_and_json(fleet_file: Path, tmp_path: Path) -> None:
    with PlayedFleet(DOMAIN, epoch=4):
        done = once('--once', '--seconds', 30, domain=DOMAIN)
        assert (done.returncode, done.stderr) == (0, '')
        assert '2/2 workers serve' in done.stdout and '\x1b' not in done.stdout
        path = tmp_path / 'top.json'
        assert once(fleet_file, '--seconds', 30, '--json', path, domain=DOMAIN).returncode == 0
        piped = once(fleet_file, '--seconds', 30, '--json', '-', domain=DOMAIN)
    told = json.loads(path.read_text())
    assert told['heard'] and told['epoch'] == 4 and told['sources']['camera']['p50_ms'] == 42.1
    assert json.loads(piped.stdout)['workers']['two']['state'] == 'serves'
    assert '2/2 workers serve' in piped.stderr


def test_once_without_a_fleet(fleet_file: Path) -> None:
    done = once(fleet_file, '--once', '--seconds', 0.5, domain=EMPTY_DOMAIN)
    assert done.returncode == 1
    assert 'waiting for a heartbeat of fleet played' in done.stdout and 'not heard' in done.stdout
    assert 'Traceback' not in done.stderr


def test_in_a_pipe_there_are_pictures_until_it_is_told_to_end() -> None:
    process = subprocess.Popen(
        [*PAMDI, 'top'], env=environment(EMPTY_DOMAIN), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == 'no fleet\n'
        process.send_signal(signal.SIGINT)
        assert process.wait(END_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize('words', [['no_such.yaml'], ['--period', '0'], ['--seconds', 'x']])
def test_bad_input(words: list[str]) -> None:
    done = once(*words, domain=EMPTY_DOMAIN)
    assert done.returncode == 2 and done.stderr and not done.stdout
