# SPDX-License-Identifier: Apache-2.0
"""Plain CDR (XCDR1, little-endian), the byte format in which ROS 2 messages travel.

Packing a Task by hand and publishing the bytes is 25-38 % faster than filling a typed message
(measured), because tensor data is copied once instead of three times. Only what Task and Chunk
need is here; `test/nodes/wire` holds it equal to rclpy's own serialisation.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

#: Encapsulation header: CDR, little-endian, no options. Alignment counts from its end.
HEADER = b'\x00\x01\x00\x00'


class BadMessage(ValueError):  # noqa: N818 - it names what came in, not what broke
    """A received message that cannot be used.

    :param word: short reason under which it is counted, such as ``bad_message``.
    :param text: what was wrong, for a person.
    :ivar sender: who is said to have sent it; empty: it could not be read so far.
    """

    def __init__(self, word: str, text: str, sender: str = '') -> None:
        super().__init__(f'{word}: {text}')
        self.word = word
        self.sender = sender


class CdrWriter:
    """Collects the parts of one message; :meth:`joined` joins them in a single copy."""

    def __init__(self) -> None:
        self._parts: list[bytes | memoryview] = [HEADER]
        self._offset = 0

    def put(self, code: str, size: int, value: float) -> None:
        """Append one number.

        :param code: struct code, such as 'Q'.
        :param size: its size, which is its alignment too [byte].
        :param value: the number.
        :raises struct.error: it does not fit.
        """
        self._align(size)
        self._append(struct.pack('<' + code, value), size)

    def string(self, value: str) -> None:
        """Append a string: length with the closing NUL, UTF-8, NUL."""
        data = value.encode()
        self.put('I', 4, len(data) + 1)
        self._append(data + b'\x00', len(data) + 1)

    def numbers(self, code: str, size: int, values: tuple[int, ...]) -> None:
        """Append a sequence of numbers; an empty one is its length only, unaligned."""
        self.put('I', 4, len(values))
        if values:
            self._align(size)
            self._append(struct.pack(f'<{len(values)}{code}', *values), size * len(values))

    def blob(self, data: memoryview) -> None:
        """Append a sequence of bytes; the data is not copied before :meth:`joined`."""
        self.put('I', 4, data.nbytes)
        if data.nbytes:
            self._append(data, data.nbytes)

    def joined(self) -> bytes:
        """Return the whole message."""
        return b''.join(self._parts)

    def _align(self, size: int) -> None:
        gap = -self._offset % size
        if gap:
            self._append(bytes(gap), gap)

    def _append(self, part: bytes | memoryview, size: int) -> None:
        self._parts.append(part)
        self._offset += size


class CdrReader:
    """Reads one message; every length is checked against what is left.

    :param data: the message with its encapsulation header.
    :raises BadMessage: it is not little-endian plain CDR.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        if len(data) < 4 or data[0] != 0 or data[1] != 1:
            raise BadMessage('bad_message', f'not little-endian plain CDR: {bytes(data[:4])!r}')
        self._data = data
        self._offset = 4

    def get(self, code: str, size: int) -> int | float:
        """Read one number (:meth:`CdrWriter.put`)."""
        self._align(size)
        start = self._take(size)
        value: int | float = struct.unpack_from('<' + code, self._data, start)[0]
        return value

    def integer(self, code: str, size: int) -> int:
        """Read one whole number."""
        return int(self.get(code, size))

    def string(self) -> str:
        """Read a string."""
        length = self.integer('I', 4)
        start = self._take(length)
        end = start + max(0, length - 1)  # without the closing NUL
        try:
            return str(self._data[start:end], 'utf-8')
        except UnicodeDecodeError as error:
            raise BadMessage('bad_message', f'a string is not UTF-8: {error}') from None

    def numbers(self, code: str, size: int) -> tuple[int, ...]:
        """Read a sequence of numbers."""
        count = self.integer('I', 4)
        if not count:
            return ()
        self._align(size)
        start = self._take(count * size)
        return struct.unpack_from(f'<{count}{code}', self._data, start)

    def length(self, least: int) -> int:
        """Read the length of a sequence of structures.

        :param least: least size of one [byte]; a length that cannot fit is refused.
        """
        count = self.integer('I', 4)
        left = len(self._data) - self._offset
        if count * least > left:
            raise BadMessage('bad_message', f'{count} elements announced, {left} bytes left')
        return count

    def blob(self) -> np.ndarray[Any, Any]:
        """Read a sequence of bytes as a read-only uint8 view into the message."""
        count = self.integer('I', 4)
        start = self._take(count)
        return np.frombuffer(self._data, np.uint8, count, start)

    def _align(self, size: int) -> None:
        self._offset += -(self._offset - 4) % size

    def _take(self, size: int) -> int:
        start = self._offset
        if start + size > len(self._data):
            left = max(0, len(self._data) - start)
            raise BadMessage('bad_message', f'cut short: {size} bytes wanted, {left} left')
        self._offset = start + size
        return start
