# SPDX-License-Identifier: Apache-2.0
"""String messages to text that a tokenizer may read."""

from __future__ import annotations

from typing import Any

from pamdi_ros.nodes.sensors.bad_input import (
    BAD_TEXT,
    BadInput,
    DEFAULT_LIMITS,
    InputLimits,
    TOO_LARGE,
)

#: Control characters that are no white space mean nothing to a model and break terminals.
CONTROLS = {code: ' ' for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in '\t\n\r'}


def read_text(message: Any, limits: InputLimits = DEFAULT_LIMITS) -> str:
    """Text of a String: control characters become spaces, white space at both ends goes.

    :param message: std_msgs/String
    :raises BadInput: more bytes than the bound, or nothing to read
    """
    # What UTF-8 cannot hold (lone surrogates, which Python strings may carry) becomes '?'.
    encoded = message.data.encode('utf-8', 'replace')
    if len(encoded) > limits.text_bytes:
        raise BadInput(
            TOO_LARGE,
            f'data of {len(encoded)} bytes is above the bound of {limits.text_bytes}; '
            'split the text',
        )
    text: str = encoded.decode('utf-8').translate(CONTROLS).strip()
    if not text:
        raise BadInput(BAD_TEXT, f'data = {message.data[:20]!r} holds no text; publish a sentence')
    return text
