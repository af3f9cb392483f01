# SPDX-License-Identifier: Apache-2.0
"""Where the files of config/ are: in the source tree, a ROS install space, or a pip prefix."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import sys


def _config_directories() -> Iterator[Path]:
    """Directories that may be ours, the nearest to this module first."""
    yield Path(__file__).resolve().parents[2] / 'config'
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        if prefix:
            yield Path(prefix) / 'share' / 'pamdi_ros' / 'config'
    # pip puts data files below a prefix: this interpreter's, the user's or /usr/local.
    for root in (Path(sys.prefix), *Path(__file__).resolve().parents):
        yield root / 'share' / 'pamdi_ros' / 'config'


def config_path(name: str) -> Path:
    """Path of a file that the package ships in config/.

    :param name: file name below config/, such as ``fleet.schema.json``
    :returns: absolute path of an existing file
    :raises FileNotFoundError: it is in none of the places; the message lists them
    """
    tried = []
    for directory in dict.fromkeys(_config_directories()):
        path = directory / name
        if path.is_file():
            return path
        tried.append(str(path))
    raise FileNotFoundError(f'{name} is not installed; looked for: ' + ', '.join(tried))
