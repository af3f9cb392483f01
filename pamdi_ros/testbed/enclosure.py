# SPDX-License-Identifier: Apache-2.0
"""Runs a command in namespaces of its own, so that a test network touches nothing outside them.

Interfaces, mounts and processes that the command makes live in fresh network, mount and process
namespaces. The kernel ends every process of a process namespace with its first one, and the last
process takes the networks and mounts along: nothing is left to clean up, however the command ends.
"""

from __future__ import annotations

from collections.abc import Sequence
import ctypes
import os
import shutil
import signal
import subprocess
import sys

from pamdi_ros.fleet import FleetError, Problem

#: Set to 1 within the namespaces.
VARIABLE = 'PAMDI_TESTBED'
TOOLS = ('unshare', 'mount', 'ip', 'bridge', 'tc')
#: Directories that must be our own: names of networks, shared memory of DDS.
OWN_DIRECTORIES = ('/run', '/dev/shm')
PR_SET_PDEATHSIG = 1


def is_inside() -> bool:
    """Whether this process runs within the namespaces."""
    return os.environ.get(VARIABLE) == '1'


def check(option: str) -> None:
    """See whether this machine and user can make networks.

    :param option: of the command line that asked for them, for the error message.
    :raises FleetError: not on Linux, not root, or a tool is missing.
    """
    problems = []

    def amiss(value: str, message: str, remedy: str) -> None:
        problems.append(Problem(path=option, value=value, message=message, remedy=remedy))

    if not sys.platform.startswith('linux'):
        amiss(sys.platform, 'network namespaces are a thing of Linux', f'leave out {option}')
    elif os.geteuid() != 0:
        remedy = f'run it as root: sudo -E env PATH="$PATH" pamdi …, or leave out {option}'
        amiss(f'user {os.geteuid()}', 'only root may make network namespaces', remedy)
    for tool in TOOLS:
        if shutil.which(tool) is None:
            amiss(tool, 'is not on the PATH', 'install util-linux and iproute2')
    if problems:
        raise FleetError(problems, 'command line')


def run_inside(command: Sequence[str]) -> int:
    """Run a command within fresh namespaces and wait for it.

    SIGTERM and SIGHUP are passed on; Ctrl-C reaches the command by itself. Killing this process
    ends the command and whatever it has started.

    :returns: its exit code; 128 + n where signal n ended it.
    """
    words = [
        'unshare', '--net', '--mount', '--propagation', 'private', '--pid', '--fork',
        '--kill-child', '--mount-proc', *command,
    ]  # fmt: skip
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    libc = ctypes.CDLL(None)
    process = subprocess.Popen(
        words,
        env={**os.environ, VARIABLE: '1'},
        preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
    )

    def pass_on(number: int, _: object) -> None:
        for child in _children(process.pid):
            os.kill(child, number)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGHUP, pass_on)
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def settle_in() -> None:
    """Make the directories of this mount namespace its own, and let signals end this process.

    The first process of a namespace gets no signal that it does not handle.

    :raises subprocess.CalledProcessError: a mount failed; its message went to standard error.
    """
    for directory in OWN_DIRECTORIES:
        if os.path.isdir(directory):
            subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', directory], check=True)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)


def _leave(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _children(pid: int) -> list[int]:
    try:
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as stream:
            return [int(word) for word in stream.read().split()]
    except OSError:  # it has just ended
        return []
