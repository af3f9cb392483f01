# SPDX-License-Identifier: Apache-2.0
"""A yardstick for delays: the whole fleet as one server that always does the densest work first.

All workers pooled serve an item of model m in t̄_m seconds (:func:`pamdi_ros.simulation.load.
pooled_s`), at no cost for moving it, preempting at any instant, the highest weight per second of
work (γ / t̄) first. No transfer, no idle worker beside a busy one, no unit to wait for: real
fleets come near it, none can do its weighted sum on the same arrivals notably better. The bound of
a source is the larger of this and its latency alone on the fleet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import heapq
import math

#: An item and its place among its source's: (−density, arrival [s], source, index).
_Item = tuple[float, float, str, int]


def pooled_delays(
    arrivals: Mapping[str, Sequence[float]],
    service_s: Mapping[str, float],
    weights: Mapping[str, float],
    lifespans_s: Mapping[str, float],
) -> dict[str, list[float | None]]:
    """Return the delay of every item at the pooled server, exactly, event by event.

    :param arrivals: times by source, ascending [s].
    :param service_s: pooled time of an item by source [s].
    :param weights: γ of the class by source.
    :param lifespans_s: age at which an item leaves without an answer, by source [s].
    :returns: delay [s] of each item in order of arrival; None: it expired.
    """
    delays: dict[str, list[float | None]] = {
        source: [None] * len(times) for source, times in arrivals.items()
    }
    coming: list[_Item] = sorted(
        (
            (-weights[source] / service_s[source], at_s, source, index)
            for source, times in arrivals.items()
            for index, at_s in enumerate(times)
        ),
        key=lambda item: item[1],
    )
    waiting: list[_Item] = []
    left_s: dict[tuple[str, int], float] = {}
    now = 0.0
    for until, newcomer in [*((item[1], item) for item in coming), (math.inf, None)]:
        while waiting and now < until:
            _, at_s, source, index = waiting[0]
            work_s = left_s[source, index]
            expiry = at_s + lifespans_s[source]
            end = min(now + work_s, max(expiry, now))
            if end > until:
                left_s[source, index] = work_s - (until - now)
                break
            heapq.heappop(waiting)
            if now + work_s <= expiry:
                delays[source][index] = end - at_s
            now = end
        now = until
        if newcomer is not None:
            heapq.heappush(waiting, newcomer)
            left_s[newcomer[2], newcomer[3]] = service_s[newcomer[2]]
    return delays
