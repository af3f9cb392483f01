# SPDX-License-Identifier: Apache-2.0
"""Quality of service of every topic, and words for two profiles that do not match."""

from __future__ import annotations

from collections.abc import Sequence

from pamdi_ros.fleet import PriorityClass
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    qos_check_compatible,
    qos_profile_sensor_data,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
)

#: Assignment: whoever starts late still gets the last one.
ASSIGNMENT = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
#: Beacons: only the newest counts, and a lost one is followed by the next.
STATUS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
#: Statistics are offered reliably, so that a reliable and a best-effort reader both match.
STATISTICS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
#: Results: an autonomy stack may not miss one.
RESULT = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)

#: Least history of an inbox [messages]: a burst must never push out an older task unseen.
INBOX_HISTORY = 32


def inbox(priority_class: PriorityClass, senders: int) -> QoSProfile:
    """Give the QoS of a worker's inbox for one class.

    The class's depth bounds items in the queue, not here: a DDS history of that size would
    silently eat tasks. No DDS lifespan either: it drops uncounted and trusts foreign clocks.

    :param priority_class: its reliability is taken.
    :param senders: workers that may send.
    """
    reliable = priority_class.qos.reliability == 'reliable'
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=max(INBOX_HISTORY, senders * priority_class.qos.depth),
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
    )


def sensor(offers: Sequence[QoSProfile]) -> QoSProfile:
    """Give the QoS of a source's subscription: as its publishers offer, or best effort.

    :param offers: profiles of the publishers seen so far; none: best effort, which fits any.
    """
    profile = QoSProfile(
        depth=qos_profile_sensor_data.depth, reliability=ReliabilityPolicy.BEST_EFFORT
    )
    if offers and all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers):
        profile.reliability = ReliabilityPolicy.RELIABLE
    return profile


def describe(profile: QoSProfile) -> str:
    """Profile in one line, for a person."""
    parts = [profile.reliability.name.lower(), profile.durability.name.lower()]
    for name in ('deadline', 'lifespan'):
        seconds = getattr(profile, name).nanoseconds / 1e9
        if 0 < seconds < 1e9:
            parts.append(f'{name} {seconds:g} s')
    return ', '.join(parts)


def mismatch(offered: QoSProfile, requested: QoSProfile) -> str:
    """Say why two profiles do not match.

    :returns: empty where they do.
    """
    compatibility, reason = qos_check_compatible(offered, requested)
    if compatibility != QoSCompatibility.ERROR:  # a warning: some policy is left to the system
        return ''
    return f'offered: {describe(offered)}; requested: {describe(requested)}; {reason.strip()}'
