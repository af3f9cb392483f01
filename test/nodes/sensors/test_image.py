# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import array
from collections.abc import Callable
import struct
from typing import Any
import zlib

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from pamdi_ros.nodes.sensors import BadInput, InputLimits
from pamdi_ros.nodes.sensors.image import compressed_to_rgb, ENCODINGS, image_to_rgb
import pytest
from sensor_msgs.msg import CompressedImage, Image
from sweep import cases

Build = Callable[..., Image]
PIXELS = np.random.default_rng(1).integers(0, 256, (6, 10, 3), dtype=np.uint8)


def compressed(data: bytes, label: str = 'jpeg') -> CompressedImage:
    return CompressedImage(format=label, data=array.array('B', data))


def encoded(pixels: np.ndarray, suffix: str) -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1])


def png_header(width: int, height: int, depth: int = 8) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(name: bytes, body: bytes) -> bytes:
        checksum = zlib.crc32(name + body)
        return struct.pack('>I', len(body)) + name + body + struct.pack('>I', checksum)

    header = struct.pack('>IIBBBBB', width, height, depth, 2, 0, 0, 0)
    body = chunk(b'IDAT', zlib.compress(bytes(64)))
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + body + chunk(b'IEND', b'')


# --- Image -------------------------------------------------------------------------------------


@pytest.mark.parametrize('bigendian', [0, 1])
@pytest.mark.parametrize(
    ('encoding', 'stored'),
    [
        ('rgb8', PIXELS),
        ('bgr8', PIXELS[:, :, ::-1]),
        ('rgba8', np.dstack([PIXELS, PIXELS[:, :, 0]])),
        ('bgra8', np.dstack([PIXELS[:, :, ::-1], PIXELS[:, :, 0]])),
    ],
)
def test_colour_encodings_give_the_same_rgb(
    image_message: Build, encoding: str, stored: np.ndarray, bigendian: int
) -> None:
    frame = image_to_rgb(image_message(stored, encoding, is_bigendian=bigendian))
    np.testing.assert_array_equal(frame, PIXELS)
    assert frame.dtype == np.uint8 and frame.flags.c_contiguous and frame.flags.writeable


def test_mono8_becomes_grey(image_message: Build) -> None:
    grey = PIXELS[:, :, 0]
    np.testing.assert_array_equal(
        image_to_rgb(image_message(grey, 'mono8')), np.dstack([grey, grey, grey])
    )


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_bayer_patterns_put_each_colour_where_it_belongs(
    image_message: Build, pattern: str
) -> None:
    scene = {'r': 200, 'g': 120, 'b': 40}
    mosaic = np.zeros((8, 8), np.uint8)
    for place, colour in enumerate(pattern):
        mosaic[place // 2 :: 2, place % 2 :: 2] = scene[colour]
    frame = image_to_rgb(image_message(mosaic, f'bayer_{pattern}8'))
    np.testing.assert_array_equal(frame[2:6, 2:6].reshape(-1, 3), [[200, 120, 40]] * 16)


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'mono8'])
def test_padding_at_the_end_of_rows_is_cut_off(image_message: Build, encoding: str) -> None:
    stored = PIXELS[:, :, 0] if encoding == 'mono8' else PIXELS
    rows = stored.reshape(6, -1)
    padded = np.pad(rows, ((0, 0), (0, 5)), constant_values=99)
    message = image_message(
        stored, encoding, step=padded.shape[1], data=array.array('B', padded.tobytes())
    )
    np.testing.assert_array_equal(
        image_to_rgb(message), image_to_rgb(image_message(stored, encoding))
    )


@pytest.mark.parametrize(
    ('fields', 'words'),
    [
        ({'height': 0}, 'no pixels'),
        ({'width': 0}, 'no pixels'),
        ({'height': 0, 'width': 0, 'step': 0, 'data': array.array('B')}, '0 × 0'),
        ({'step': 29}, 'step = 29 is less than width × channels = 10 × 3'),
        ({'step': 0}, 'step = 0'),
        ({'step': 31}, 'data has 180 bytes, but step × height = 31 × 6'),
        ({'data': array.array('B', bytes(179))}, 'data has 179 bytes'),
        ({'data': array.array('B', bytes(181))}, 'data has 181 bytes'),
        ({'data': array.array('B')}, 'data has 0 bytes'),
        ({'height': 7}, 'data has 180 bytes'),
        ({'encoding': 'mono16'}, 'only 8-bit'),
        ({'encoding': '16UC1'}, 'only 8-bit'),
        ({'encoding': 'rgb16'}, 'only 8-bit'),
        ({'encoding': '32FC1'}, 'only 8-bit'),
        ({'encoding': '64FC3'}, 'only 8-bit'),
        ({'encoding': 'bayer_rggb16'}, 'only 8-bit'),
        ({'encoding': '8UC3'}, 'publish rgb8'),
        ({'encoding': 'yuv422'}, 'publish rgb8'),
        ({'encoding': ''}, "encoding = ''"),
        ({'encoding': 'RGB8'}, "encoding = 'RGB8'"),
    ],
)
def test_a_bad_image_says_which_field(
    image_message: Build, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInput) as error:
        image_to_rgb(image_message(PIXELS, **fields))
    assert words in str(error.value)
    assert error.value.reason == 'bad_image'


def test_pixels_above_the_bound_are_too_large(image_message: Build) -> None:
    with pytest.raises(BadInput) as error:
        image_to_rgb(image_message(PIXELS, height=2**32 - 1, width=2**32 - 1))
    assert error.value.reason == 'too_large'
    with pytest.raises(BadInput, match='bound of 59'):
        image_to_rgb(image_message(PIXELS), InputLimits(pixels=59))
    assert image_to_rgb(image_message(PIXELS), InputLimits(pixels=60)).shape == (6, 10, 3)


SMALL = st.integers(0, 12)
WIDE = st.one_of(SMALL, st.integers(0, 2**32 - 1))


@settings(deadline=None)
@given(
    height=WIDE,
    width=WIDE,
    step=WIDE,
    bigendian=st.integers(0, 255),
    encoding=st.one_of(st.sampled_from([*ENCODINGS, 'mono16', '32FC1']), st.text(max_size=8)),
    data=st.binary(max_size=300),
)
def test_any_fields_give_pixels_or_bad_input(
    height: int, width: int, step: int, bigendian: int, encoding: str, data: bytes
) -> None:
    message = Image(
        height=height,
        width=width,
        step=step,
        is_bigendian=bigendian,
        encoding=encoding,
        data=array.array('B', data),
    )
    try:
        assert image_to_rgb(message).shape == (height, width, 3)
    except BadInput as error:
        assert error.reason in ('bad_image', 'too_large')


@settings(deadline=None)
@given(
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    padding=st.integers(0, 3),
    encoding=st.sampled_from(list(ENCODINGS)),
)
def test_consistent_fields_of_any_size_give_pixels(
    height: int, width: int, padding: int, encoding: str
) -> None:
    step = width * ENCODINGS[encoding][0] + padding
    message = Image(height=height, width=width, step=step, encoding=encoding)
    message.data = array.array('B', bytes(step * height))
    if encoding.startswith('bayer') and min(height, width) < 2:
        return  # no pattern fits; refusing and black are both right
    assert image_to_rgb(message).shape == (height, width, 3)


# --- CompressedImage ---------------------------------------------------------------------------


@pytest.mark.parametrize('suffix', ['.png', '.tiff'])
def test_lossless_pictures_come_back_exactly(suffix: str) -> None:
    frame = compressed_to_rgb(compressed(encoded(PIXELS[:, :, ::-1], suffix), 'png'))
    np.testing.assert_array_equal(frame, PIXELS)


def test_a_jpeg_comes_back_as_opencv_decodes_it() -> None:
    data = encoded(cv2.resize(PIXELS, (64, 48)), '.jpg')
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    np.testing.assert_array_equal(compressed_to_rgb(compressed(data)), expected)


def test_a_grey_picture_becomes_rgb_and_alpha_goes() -> None:
    grey = PIXELS[:, :, 0]
    np.testing.assert_array_equal(
        compressed_to_rgb(compressed(encoded(grey, '.png'))), np.dstack([grey] * 3)
    )
    alpha = np.dstack([PIXELS[:, :, ::-1], grey])
    np.testing.assert_array_equal(compressed_to_rgb(compressed(encoded(alpha, '.png'))), PIXELS)


JPEG = encoded(cv2.resize(PIXELS, (64, 48)), '.jpg')
PNG = encoded(PIXELS, '.png')


@pytest.mark.parametrize(
    ('data', 'label', 'words'),
    [
        (b'', 'jpeg', 'data is empty'),
        (b'not a picture', 'jpeg', 'is not a JPEG, PNG, TIFF picture'),
        (JPEG[:2], 'jpeg', 'is not a JPEG'),
        (PNG[: len(PNG) // 2], 'png', 'truncated'),
        (JPEG, '16UC1; compressedDepth png', 'depth image'),
        (encoded(PIXELS.astype(np.uint16) * 256, '.png'), 'png', '16-bit'),
        (encoded(PIXELS.astype(np.uint16) * 256, '.tiff'), 'tiff', '16-bit'),
        (encoded(PIXELS[:, :, 0].astype(np.float32), '.tiff'), 'tiff', '32-bit'),
        (encoded(PIXELS, '.bmp'), 'bmp', 'is not a JPEG'),
        (png_header(64, 48), 'png', 'does not decode'),
        (png_header(0, 48), 'png', ''),
    ],
)
def test_a_bad_picture_says_why(data: bytes, label: str, words: str) -> None:
    with pytest.raises(BadInput) as error:
        compressed_to_rgb(compressed(data, label))
    assert words in str(error.value)
    assert error.value.reason == 'bad_image'


@pytest.mark.parametrize('size', [(20_000, 10_000), (100_000, 100_000), (2**31 - 1, 1)])
def test_a_small_file_that_claims_a_huge_picture_is_refused_before_decoding(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('decoded a bomb'))
    with pytest.raises(BadInput) as error:
        compressed_to_rgb(compressed(png_header(*size), 'png'))
    assert error.value.reason == 'too_large'


@settings(deadline=None)
@given(data=st.binary(max_size=300), start=st.sampled_from([b'', JPEG[:20], PNG[:33], b'II*\0']))
def test_garbage_is_bad_input(data: bytes, start: bytes) -> None:
    with pytest.raises(BadInput):
        compressed_to_rgb(compressed(start + data))


@settings(deadline=None, max_examples=cases(50))
@given(picture=st.sampled_from([JPEG, PNG]), at=st.integers(0, 2000), value=st.integers(0, 255))
def test_a_damaged_byte_gives_pixels_or_bad_input(picture: bytes, at: int, value: int) -> None:
    damaged = bytearray(picture)
    damaged[at % len(damaged)] = value
    try:
        assert compressed_to_rgb(compressed(bytes(damaged))).ndim == 3
    except BadInput as error:
        assert error.reason in ('bad_image', 'too_large')
