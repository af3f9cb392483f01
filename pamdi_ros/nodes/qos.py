# SPDX-License-Identifier: Apache-2.0
"""Quality of service of every topic, and words for two profiles that do not match."""

from __future__ import annotations

from collections.abc import Sequence
import copy

from pamdi_ros.fleet import PriorityClass
from rclpy.duration import Duration
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
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
#: Heartbeats for whoever looks on: only the newest counts, and a lost one is followed by the next.
STATUS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
#: Statistics are offered reliably, so that a reliable and a best-effort reader both match.
STATISTICS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
#: Results: an autonomy stack may not miss one, and a whole backlog may expire at once. (With a
#: history of 50 up to 54 ends of a source were not heard in overload.)
RESULT = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)

#: Least history of inbox and chunk topics [messages]: a burst must never push out what is older.
INBOX_HISTORY = 32
#: Control messages that may come at once for each chunk: its credit, and a handshake or an ack.
CONTROL_PER_CHUNK = 4
#: Durations as long mean: none was asked for [ns].
FOREVER_NS = 10**18
#: Chunks that may be under way to a peer where nobody says otherwise.
MOST_CREDIT = 32


def inbox(
    priority_class: PriorityClass, senders: int, most_credit: int = MOST_CREDIT
) -> QoSProfile:
    """Return the QoS of a worker's inbox, and of its chunks, for one class.

    The class's depth bounds items in the queue, not here: the history holds all that credit allows
    from all senders, or it would silently eat tasks (measured: of 48 chunks into a history of 2,
    2 to 5 came). No DDS lifespan either: it drops uncounted and trusts foreign clocks.

    :param priority_class: its reliability is taken.
    :param senders: workers that may send.
    :param most_credit: messages that each may have under way.
    """
    reliable = priority_class.qos.reliability == 'reliable'
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=max(INBOX_HISTORY, senders * max(most_credit, priority_class.qos.depth)),
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
    )


def control(senders: int, most_credit: int = MOST_CREDIT) -> QoSProfile:
    """Return the QoS of a worker's control topic: reliable, and deep enough for all senders.

    :param senders: workers that may send.
    :param most_credit: chunks that each may have under way.
    """
    return QoSProfile(
        depth=max(INBOX_HISTORY, CONTROL_PER_CHUNK * senders * most_credit),
        reliability=ReliabilityPolicy.RELIABLE,
    )


def status_offered(lease_s: float) -> QoSProfile:
    """Return the QoS with which a worker publishes its heartbeats, at least three in each lease.

    Reliable, so that a default subscription matches too; the worker itself asserts that it lives
    (manual by topic: by publishing), since its process may live while it does not.

    :param lease_s: silence after which it is taken for lost [s].
    """
    return _status(ReliabilityPolicy.RELIABLE, lease_s)


def status_requested(lease_s: float) -> QoSProfile:
    """Return the QoS with which a peer listens to them: told when one is late, and of its loss.

    :param lease_s: of the fleet's policy parameters [s].
    """
    return _status(ReliabilityPolicy.BEST_EFFORT, lease_s)


def _status(reliability: ReliabilityPolicy, lease_s: float) -> QoSProfile:
    lease = Duration(nanoseconds=round(lease_s * 1e9))
    return QoSProfile(
        depth=1,
        reliability=reliability,
        deadline=lease,
        liveliness=LivelinessPolicy.MANUAL_BY_TOPIC,
        liveliness_lease_duration=lease,
    )


def sensor(offers: Sequence[QoSProfile]) -> QoSProfile:
    """Return the QoS of a source's subscription: as its publishers offer, or best effort.

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
    for name in ('deadline', 'lifespan', 'liveliness_lease_duration'):
        nanoseconds = getattr(profile, name).nanoseconds
        if 0 < nanoseconds < FOREVER_NS:
            parts.append(f'{name.replace("_", " ")} {nanoseconds / 1e9:g} s')
    return ', '.join(parts)


def _plain(profile: QoSProfile) -> QoSProfile:
    """Return a profile as one would write it: what is read from the graph has infinite durations.

    Taken as they are, the check takes infinite for a deadline, and none for the lack of one.
    """
    plain = copy.copy(profile)
    for name in ('deadline', 'lifespan', 'liveliness_lease_duration'):
        if getattr(plain, name).nanoseconds >= FOREVER_NS:
            setattr(plain, name, Duration())
    return plain


def mismatch(offered: QoSProfile, requested: QoSProfile) -> str:
    """Say why two profiles do not match.

    :returns: empty where they do.
    """
    compatibility, reason = qos_check_compatible(_plain(offered), _plain(requested))
    if compatibility != QoSCompatibility.ERROR:  # a warning: some policy is left to the system
        return ''
    return f'offered: {describe(offered)}; requested: {describe(requested)}; {reason.strip()}'
