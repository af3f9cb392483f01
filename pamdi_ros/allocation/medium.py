# SPDX-License-Identifier: Apache-2.0
"""What each sender sends on one medium that all with something to send share evenly."""

from __future__ import annotations

import numpy as np
from pamdi_ros.allocation.options import Floats


def sent_evenly(left_s: Floats, gap_s: Floats) -> Floats:
    """Give the time that each sender has of a medium granted chunk by chunk in turn.

    Chunks are small beside what is sent: the medium is shared evenly (processor sharing). When
    each has sent min(left, x), Σ min(left, x) has passed; x is found from that.

    :param left_s: what each has to send [s], shape (histories, senders).
    :param gap_s: time that passes [s], shape (histories,).
    :returns: shape (histories, senders).
    """
    count = left_s.shape[1]
    rising = np.sort(left_s, axis=1)
    before = np.cumsum(rising, axis=1) - rising  # has been sent by those with less
    reached = before + rising * np.arange(count, 0, -1)  # until one more has sent everything
    full = (reached <= gap_s[:, None]).sum(axis=1)
    sent = np.concatenate([before, rising.sum(axis=1, keepdims=True)], axis=1)
    rest = gap_s - np.take_along_axis(sent, full[:, None], axis=1)[:, 0]
    level = np.where(full < count, rest / np.maximum(count - full, 1), np.inf)
    result: Floats = np.minimum(left_s, level[:, None])
    return result
