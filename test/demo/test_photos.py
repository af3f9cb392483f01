# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
from pamdi_ros.demo import photographs


def test_frames_are_coloured_of_the_camera_size_and_all_different() -> None:
    frames = photographs(32)
    assert {frame.shape for frame in frames} == {(480, 640, 3)}
    assert all(frame.dtype == np.uint8 and frame.flags.c_contiguous for frame in frames)
    assert len({frame.tobytes() for frame in frames}) == 32
    assert all(frame.std() > 20 for frame in frames)


def test_colours_are_in_rgb_order() -> None:
    coffee = photographs(5, 64, 48)[2].reshape(-1, 3).mean(axis=0)
    assert coffee[0] > 1.5 * coffee[2]  # a red cup on brown wood


def test_any_size_and_count() -> None:
    assert [frame.shape for frame in photographs(3, 100, 300)] == [(300, 100, 3)] * 3
