# SPDX-License-Identifier: Apache-2.0
"""Runs a command in namespaces of its own, so that a test network touches nothing outside them.

Interfaces, mounts and processes that the command makes live in fresh network, mount and process
namespaces. The kernel ends every process of a process namespace with its first one, and the last
process takes the networks and mounts along: nothing is left to clean up, however the command ends.
"""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys

from pamdi_ros.fleet import ConfigProblem, FleetError

#: Names the network namespace outside, for those within.
VARIABLE = 'PAMDI_TESTBED'
UNSHARE = (
    'unshare', '--net', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child',
    '--mount-proc',
)  # fmt: skip
TOOLS = ('unshare', 'mount', 'ip', 'bridge', 'tc')
#: Directories that must be our own: names of networks, shared memory of DDS.
OWN_DIRECTORIES = ('/run', '/dev/shm')
#: sudo drops what loads a sourced ROS 2.
SUDO = 'sudo -E env ' + ' '.join(
    f'{name}="${name}"' for name in ('PATH', 'PYTHONPATH', 'LD_LIBRARY_PATH')
)
#: For the command to end after a signal, before it is killed [s].
GRACE_S = 15
PR_SET_PDEATHSIG = 1


def is_inside() -> bool:
    """Whether this process runs within the namespaces: not in the network of who made them."""
    outside = os.environ.get(VARIABLE)
    return bool(outside) and outside != _network()


def check(option: str) -> None:
    """See whether this machine and user can make networks.

    :param option: of the command line that asked for them, for the error message.
    :raises FleetError: not on Linux, not root, a tool is missing, or namespaces are forbidden.
    """
    problems = []

    def amiss(value: str, message: str, remedy: str) -> None:
        problems.append(ConfigProblem(path=option, value=value, message=message, remedy=remedy))

    if not sys.platform.startswith('linux'):
        amiss(sys.platform, 'network namespaces are a thing of Linux', f'leave out {option}')
    elif os.geteuid() != 0:
        remedy = f'run it as root: {SUDO} pamdi …, or leave out {option}'
        amiss(f'user {os.geteuid()}', 'only root may make network namespaces', remedy)
    for tool in TOOLS:
        if shutil.which(tool) is None:
            amiss(tool, 'is not on the PATH', 'install util-linux and iproute2')
    if not problems:
        done = subprocess.run([*UNSHARE, 'true'], capture_output=True, text=True)
        if done.returncode:
            remedy = f'give this container CAP_SYS_ADMIN and CAP_NET_ADMIN, or leave out {option}'
            amiss(done.stderr.strip(), 'namespaces cannot be made here', remedy)
    if problems:
        raise FleetError(problems, 'command line')


def run_inside(command: Sequence[str]) -> int:
    """Run a command within fresh namespaces and wait for it.

    SIGINT, SIGTERM and SIGHUP are passed on to it, and it is killed if it does not end then.
    Killing this process ends the command and whatever it has started.

    :returns: its exit code; 128 + n where signal n ended it.
    """
    libc = ctypes.CDLL(None)
    process = subprocess.Popen(
        [*UNSHARE, *command],
        env={**os.environ, VARIABLE: _network()},
        start_new_session=True,  # Ctrl-C reaches us alone
        preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
    )

    def pass_on(number: int, _: object) -> None:
        for child in _children(process.pid) or [process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
        signal.alarm(GRACE_S)

    handlers = {
        number: pass_on
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN  # as nohup does
    }
    handlers[signal.SIGALRM] = lambda *_: process.kill()
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        code = process.wait()
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def settle_in() -> None:
    """Make the directories of this mount namespace its own, and let signals end this process.

    The first process of a namespace gets no signal that it does not handle.

    :raises OSError: a mount failed.
    """
    for directory in OWN_DIRECTORIES:
        if os.path.isdir(directory):
            words = ['mount', '-t', 'tmpfs', 'tmpfs', directory]
            done = subprocess.run(words, capture_output=True, text=True)
            if done.returncode:
                raise OSError(f'{" ".join(words)}: {done.stderr.strip()}')
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)


def _network() -> str:
    """Return the number of this process's network namespace."""
    return str(os.stat('/proc/self/ns/net').st_ino)


def _leave(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _children(pid: int) -> list[int]:
    try:
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as stream:
            return [int(word) for word in stream.read().split()]
    except OSError:  # it has just ended
        return []
