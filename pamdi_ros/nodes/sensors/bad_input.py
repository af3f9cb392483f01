# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a sensor message, and how much of one is accepted."""

from __future__ import annotations

from dataclasses import dataclass

from pamdi_ros.fleet import TEXT_TYPE

BAD_MESSAGE = 'bad_message'
BAD_IMAGE = 'bad_image'
BAD_CLOUD = 'bad_cloud'
BAD_TEXT = 'bad_text'
TOO_LARGE = 'too_large'


class BadInput(ValueError):  # noqa: N818 - it names what came in, not what broke
    """A message that cannot become a model's input.

    :param reason: one word to count by: ``bad_message``, ``bad_image``, ``bad_cloud``,
        ``bad_text`` or ``too_large``
    :param message: a sentence with the field, its value and the remedy
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, kw_only=True, slots=True)
class InputLimits:
    """Bounds on one message; whatever is above them is refused before memory is spent on it.

    :param pixels: of a frame, and of a frame resized before its crop
    :param text_bytes: of a sentence in UTF-8 [B]
    :param sensor_bytes: of a serialized image or point cloud [B]
    """

    pixels: int = 64_000_000
    text_bytes: int = 64 * 1024
    sensor_bytes: int = 256_000_000

    def message_bytes(self, kind: str) -> int:
        """Bound on a serialized message of that type [B]."""
        # A serialized String carries a CDR header, a length and a terminator besides its text.
        return self.text_bytes + 16 if kind == TEXT_TYPE else self.sensor_bytes


DEFAULT_LIMITS = InputLimits()
