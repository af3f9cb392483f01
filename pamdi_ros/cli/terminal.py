# SPDX-License-Identifier: Apache-2.0
"""A person's terminal: keys without Enter, and an orderly end at Ctrl-C, all restored after."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
import os
import re
import select
import signal
import sys
import termios
import time
import tty

#: What ends a command that a person watches.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: What an arrow, say, sends: none of its letters is meant.
SEQUENCE = re.compile(r'\x1b(\[[0-?]*[ -/]*[@-~]|O.|.)?')


class Keys:
    """Keys of standard input, and whether the command was told to end."""

    def __init__(self, descriptor: int | None, woken: int) -> None:
        self._descriptor = descriptor
        self._woken = woken
        self._struck: deque[str] = deque()
        self.stopped = False

    def wait(self, seconds: float) -> str:
        """Wait for a key.

        :param seconds: for how long at most [s].
        :returns: the key in lower case; empty: none was struck, or the command shall end.
        """
        end_s = time.monotonic() + seconds
        while not self.stopped and not self._struck and (left_s := end_s - time.monotonic()) > 0:
            watched = [self._woken] + ([] if self._descriptor is None else [self._descriptor])
            ready, _, _ = select.select(watched, [], [], left_s)
            if self._woken in ready:
                os.read(self._woken, 64)
            elif ready and self._descriptor is not None:
                self._read(self._descriptor)
        return self._struck.popleft() if self._struck and not self.stopped else ''

    def _read(self, descriptor: int) -> None:
        try:
            struck = os.read(descriptor, 64).decode(errors='replace')
        except OSError:
            struck = ''
        if not struck:
            self._descriptor = None  # the terminal is gone
        self._struck.extend(SEQUENCE.sub('', struck).lower())


@contextmanager
def watched_keys() -> Iterator[Keys]:
    """Yield the keys; without a terminal there are none. Restores terminal and signals."""
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    descriptor = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    # In the background of a shell, touching the terminal would stop this process.
    if descriptor is not None and os.tcgetpgrp(descriptor) != os.getpgrp():
        descriptor = None
    keys = Keys(descriptor, woken)

    def stop(*_: object) -> None:
        keys.stopped = True

    handlers = {number: signal.signal(number, stop) for number in SIGNALS}
    # Ctrl-Z would leave the shell with this command's screen.
    handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    previous = signal.set_wakeup_fd(waker)
    settings = None if descriptor is None else termios.tcgetattr(descriptor)
    try:
        if descriptor is not None:
            tty.setcbreak(descriptor)
        yield keys
    finally:
        if descriptor is not None and settings is not None:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, settings)
        signal.set_wakeup_fd(previous)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(woken)
        os.close(waker)
