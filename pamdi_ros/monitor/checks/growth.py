# SPDX-License-Identifier: Apache-2.0
"""How much a counter has grown over the last seconds."""

from __future__ import annotations

from collections.abc import Sequence


def grown(readings: Sequence[tuple[int, int]]) -> int:
    """Return the growth of a counter since its oldest reading in the same run.

    :param readings: (incarnation, count), the oldest first; incarnation 0: not heard yet.
    """
    if not readings:
        return 0
    run, latest = readings[-1]
    return next((max(0, latest - count) for one, count in readings if run and one == run), 0)
