# SPDX-License-Identifier: Apache-2.0
"""The links that a message crosses from one worker to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pamdi_ros.fleet import Link, Links


def way(
    workers: Iterable[str],
    links: Links,
    changed: Mapping[frozenset[str], Link | None],
    origin: str,
    target: str,
) -> tuple[tuple[str, str, Link], ...] | None:
    """Give the quickest way, by latency, then by time per byte, as :mod:`pamdi_ros.fleet.ways`.

    :param changed: links that are no longer as declared; None: cut.
    :returns: (from, to, link) of each link in order; None where there is no way.
    """
    names = tuple(workers)
    costs: dict[str, tuple[float, float]] = {origin: (0.0, 0.0)}
    came: dict[str, tuple[str, Link]] = {}
    pending = {origin}
    while pending:
        worker = min(pending, key=lambda name: (costs[name], names.index(name)))
        if worker == target:
            break
        pending.remove(worker)
        latency_s, s_per_byte = costs[worker]
        for other in names:
            pair = frozenset((worker, other))
            link = changed[pair] if pair in changed else links.between(worker, other)
            if other == worker or link is None:
                continue
            cost = (latency_s + link.latency_s, s_per_byte + 1 / link.bandwidth_bytes_per_s)
            if other not in costs or cost < costs[other]:
                costs[other], came[other] = cost, (worker, link)
                pending.add(other)
    if target not in came:
        return None
    found: list[tuple[str, str, Link]] = []
    while target != origin:
        before, link = came[target]
        found.append((before, target, link))
        target = before
    return tuple(reversed(found))
