# SPDX-License-Identifier: Apache-2.0
"""Namespaces of a command's own: what comes in, what goes out, and that nothing is left."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from pamdi_ros.fleet import FleetError
from pamdi_ros.testbed import namespace_sandbox as enclosure
import pytest
from testbed.cases import needs_namespaces

PATIENCE_S = 60.0
#: Runs a script in namespaces from a process of its own, as the command line does.
OUTER = (
    'import sys; from pamdi_ros.testbed.namespace_sandbox import run_inside; '
    'sys.exit(run_inside([sys.executable, "-c", sys.argv[1]]))'
)


def start(script: str) -> subprocess.Popen[str]:
    """Start a script in namespaces of its own."""
    command = [sys.executable, '-c', OUTER, script]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed,
    )


def _heed() -> None:
    """Ignore no signal, as a background job of a script would: what is ignored stays so."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds."""
    give_up_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up_s, what
        time.sleep(0.05)


def running(mark: str) -> list[str]:
    """Process ids whose command line has a mark, but for this process's."""
    found = []
    for entry in Path('/proc').iterdir():
        try:
            words = (entry / 'cmdline').read_bytes() if entry.name.isdigit() else b''
        except OSError:
            continue
        if mark.encode() in words and entry.name != str(os.getpid()):
            found.append(entry.name)
    return found


def test_who_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)
    with pytest.raises(FleetError, match='only root may make network namespaces') as caught:
        enclosure.check('--real')
    assert 'sudo' in str(caught.value)
    assert '--real' in str(caught.value)


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, 'geteuid', lambda: 0)
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(FleetError, match='iproute2') as caught:
        enclosure.check('--real')
    for tool in enclosure.TOOLS:
        assert tool in str(caught.value)


@needs_namespaces
def test_it_has_a_network_processes_and_shared_memory_of_its_own(tmp_path: Path) -> None:
    script = (
        'import os; from pamdi_ros.testbed import namespace_sandbox as e; assert e.is_inside(); '
        'e.settle_in(); open("/dev/shm/pamdi_mark", "w").close(); '
        'print(os.getpid(), len([n for n in os.listdir("/proc") if n.isdigit()]), '
        'open("/proc/net/dev").read().count(":"))'
    )
    inner = start(script)
    out, errors = inner.communicate(timeout=PATIENCE_S)
    assert (inner.returncode, out) == (0, '1 1 1\n'), errors  # the one interface is lo
    assert not Path('/dev/shm/pamdi_mark').exists()


def test_a_variable_alone_does_not_make_it_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not enclosure.is_inside()
    monkeypatch.setenv(enclosure.VARIABLE, '')
    assert not enclosure.is_inside()
    if sys.platform.startswith('linux'):
        monkeypatch.setenv(enclosure.VARIABLE, str(os.stat('/proc/self/ns/net').st_ino))
        assert not enclosure.is_inside()


@needs_namespaces
def test_its_exit_code_is_ours() -> None:
    inner = start('import sys; sys.exit(7)')
    inner.communicate(timeout=PATIENCE_S)
    assert inner.returncode == 7


@needs_namespaces
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left_however_it_ends(number: signal.Signals) -> None:
    mark = f'left_by_{os.getpid()}_{number}'
    script = f"""
import subprocess, sys
from pamdi_ros.testbed import namespace_sandbox as enclosure
enclosure.settle_in()
subprocess.run(["ip", "netns", "add", "host"], check=True)
sleep = [sys.executable, "-c", "import time; time.sleep(600)", "{mark}"]
child = subprocess.Popen(sleep, start_new_session=True)
print("up", flush=True)
child.wait()
"""
    inner = start(script)
    assert inner.stdout is not None
    assert inner.stdout.readline() == 'up\n'
    assert running(mark)
    inner.send_signal(number)
    inner.communicate(timeout=PATIENCE_S)
    expected = {signal.SIGKILL: -9}
    assert inner.returncode == expected.get(number, 128 + number)
    until(lambda: not running(mark), f'{mark} still runs')
    assert not Path('/run/netns/host').exists()
