# SPDX-License-Identifier: Apache-2.0
"""Point the CMake files of the ROS 2 wheels at this interpreter.

The wheels were built in a manylinux container and their exported CMake targets still name its
Python headers and numpy (``/opt/python/cp3XX-cp3XX/...``); CMake refuses include directories
that do not exist. Usage: ``python repair_wheels.py PREFIX`` with that prefix's interpreter.
"""

from __future__ import annotations

from pathlib import Path
import re
import sys
import sysconfig

import numpy

STALE_NUMPY = re.compile(
    r'/opt/python/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages/numpy/[\w/]*include'
)
STALE_PYTHON = re.compile(r'/opt/python/cp3\d+-cp3\d+/include/python3\.\d+')


def repair(prefix: Path) -> int:
    """Rewrite the stale paths below a prefix.

    :param prefix: root of the virtual environment.
    :returns: number of files changed.
    """
    changed = 0
    for path in (prefix / 'share').rglob('*.cmake'):
        text = path.read_text(encoding='utf-8')
        fixed = STALE_NUMPY.sub(lambda _: numpy.get_include(), text)
        fixed = STALE_PYTHON.sub(lambda _: sysconfig.get_path('include'), fixed)
        if fixed != text:
            path.write_text(fixed, encoding='utf-8')
            changed += 1
    return changed


if __name__ == '__main__':
    print(f'[setup]     {repair(Path(sys.argv[1]))} CMake files of the wheels repaired')
