# SPDX-License-Identifier: Apache-2.0
"""Asks torch what it finds, in a process of its own: a broken one then breaks nothing here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import json
import subprocess
import sys

from pamdi_ros.doctor.host_facts import TorchFacts

#: Importing torch takes long from a robot's SD card [s].
PATIENCE_S = 90.0
CODE = """
import json, torch
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
print('\\n' + json.dumps({
    'version': torch.__version__,
    'cuda_version': torch.version.cuda or '',
    'devices': [torch.cuda.get_device_name(index) for index in range(count)],
}))
"""


@contextmanager
def asking_torch() -> Iterator[subprocess.Popen[str]]:
    """Start the process; it takes seconds, in which other facts can be collected."""
    process = subprocess.Popen(
        [sys.executable, '-c', CODE],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors='replace',
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def torchs_answer(process: subprocess.Popen[str], patience_s: float = PATIENCE_S) -> TorchFacts:
    """Wait for its answer.

    :param patience_s: a process that takes longer is ended [s].
    """
    try:
        told, errors = process.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return TorchFacts(problem=f'no answer after {patience_s:.0f} s')
    if process.returncode == 0:
        answer = json.loads(told.strip().splitlines()[-1])
        return TorchFacts(
            version=answer['version'],
            cuda_version=answer['cuda_version'],
            devices=tuple(answer['devices']),
        )
    last = (errors.strip().splitlines() or [f'it ended with {process.returncode}'])[-1]
    if 'ModuleNotFoundError' in last and "'torch'" in last:
        return TorchFacts()
    return TorchFacts(problem=last)
