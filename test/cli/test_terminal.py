# SPDX-License-Identifier: Apache-2.0
"""Keys from a pipe in the terminal's stead."""

from __future__ import annotations

from collections.abc import Iterator
import os
import signal

from pamdi_ros.cli.terminal import Keys, watched_keys
import pytest


@pytest.fixture
def pipes() -> Iterator[tuple[Keys, int, int]]:
    """Yield keys, the end to strike them at, and the one that wakes."""
    reading, striking = os.pipe()
    woken, waking = os.pipe()
    yield Keys(reading, woken), striking, waking
    for descriptor in (reading, woken, waking):
        os.close(descriptor)


@pytest.mark.parametrize(
    ('struck', 'keys'),
    [
        (b'q', 'q'),
        (b'Fq', 'fq'),
        (b'\x1b[Aq', 'q'),
        (b'\x1bOF\x1b[1;5Fx', 'x'),
        (b'\xff', '\ufffd'),
    ],
)
def test_keys(pipes: tuple[Keys, int, int], struck: bytes, keys: str) -> None:
    found, striking, _ = pipes
    os.write(striking, struck)
    assert [found.wait(10.0) for _ in keys] == list(keys)
    os.close(striking)
    assert found.wait(0.0) == ''


def test_a_terminal_that_goes_away_is_no_key_and_no_burden(
    pipes: tuple[Keys, int, int],
) -> None:
    found, striking, _ = pipes
    os.close(striking)
    assert found.wait(0.01) == ''


def test_no_key_is_told_once_it_shall_end(pipes: tuple[Keys, int, int]) -> None:
    found, striking, waking = pipes
    os.write(striking, b'q')
    os.write(waking, b'\0')
    found.stopped = True
    assert found.wait(10.0) == ''
    os.close(striking)


def test_signals_end_it_and_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with watched_keys() as keys:
        os.kill(os.getpid(), signal.SIGTERM)
        assert keys.wait(60.0) == '' and keys.stopped
    assert signal.getsignal(signal.SIGTERM) is before
