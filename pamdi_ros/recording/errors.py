# SPDX-License-Identifier: Apache-2.0
"""The one error of reading a recording."""

from __future__ import annotations


class RecordingError(ValueError):
    """A recording that cannot be read; the text says why and what to do."""
