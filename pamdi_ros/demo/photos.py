# SPDX-License-Identifier: Apache-2.0
"""Real photographs as a camera would deliver them, from those that scikit-image ships."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
import skimage.data

#: Files inside the package: read as files, since its functions may download what is missing.
PHOTOGRAPHS = ('astronaut.png', 'chelsea.png', 'coffee.png', 'rocket.jpg', 'motorcycle_left.png')
#: Part of the photograph that a frame shows; the rest is room to pan.
SHOWN = 0.9


def photographs(count: int = 32, width: int = 640, height: int = 480) -> list[NDArray[np.uint8]]:
    """Frames of a camera that pans over one photograph after the other; no two are alike.

    :param count: frames; each photograph gets its share of them
    :param width: of a frame [pixel]
    :param height: of a frame [pixel]
    :returns: uint8 RGB frames, each (height, width, 3)
    """
    pictures = [_read(name) for name in PHOTOGRAPHS]
    frames = []
    for number in range(count):
        which, pan = divmod(number * len(pictures) / count, 1)
        frames.append(_frame(pictures[int(which)], pan, width, height))
    return frames


def _read(name: str) -> NDArray[np.uint8]:
    path = Path(skimage.data.__file__).parent / name
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(f'{path}: scikit-image ships it; install scikit-image again')
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _frame(picture: NDArray[np.uint8], pan: float, width: int, height: int) -> NDArray[np.uint8]:
    """Return the part of a picture at pan in [0, 1), scaled to width × height."""
    rows, columns = picture.shape[:2]
    scale = SHOWN * min(columns / width, rows / height)
    shown_rows, shown_columns = int(scale * height), int(scale * width)
    top, left = int(pan * (rows - shown_rows)), int(pan * (columns - shown_columns))
    part = picture[top:, left:][:shown_rows, :shown_columns]
    method = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (width, height), interpolation=method), dtype=np.uint8)
