# SPDX-License-Identifier: Apache-2.0
"""Do publishers and subscriptions hear each other: quality of service of both ends?"""

from __future__ import annotations

from collections.abc import Iterator

from pamdi_ros.doctor.finding import fail, Finding, ok
from pamdi_ros.doctor.fleet_facts import FleetFacts, Mismatch

#: Words of the middleware that tell which policy it is about, and what the two can do.
CURES = (
    ('reliable', 'publish reliable, or subscribe best effort'),
    ('transient local', 'publish transient local, or subscribe volatile'),
    ('deadline', 'offer a deadline that is not longer than the one asked for, or ask for none'),
    ('liveliness', 'offer the liveliness and lease that is asked for, or ask for automatic'),
)


def check_matching(fleet: FleetFacts) -> Iterator[Finding]:
    """Judge the pairs of endpoints of a fleet's topics, and of those that its sources read."""
    for mismatch in fleet.mismatches:
        yield fail(
            f'QoS of {mismatch.topic}',
            f'{mismatch.publisher.node} offers {mismatch.publisher.profile}; '
            f'{mismatch.subscription.node} asks for {mismatch.subscription.profile}: it hears '
            f'nothing ({mismatch.reason})',
            _cure(fleet.prefix, mismatch),
        )
    if not fleet.mismatches and fleet.pairs:
        yield ok('QoS', f'{fleet.pairs} pairs of publisher and subscription match')


def _cure(prefix: str, mismatch: Mismatch) -> str:
    words = mismatch.reason.lower()
    cure = next((text for word, text in CURES if word in words), 'give both the same QoS')
    ends = (mismatch.publisher.node, mismatch.subscription.node)
    if all(node.startswith(f'{prefix}/') for node in ends):
        return f'{cure}: all machines need the same fleet.yaml and version of pamdi_ros'
    if mismatch.subscription.node.startswith(f'{prefix}/'):
        return (
            f'{cure}: parameter qos_overrides.{mismatch.topic}.subscription.* of '
            f'{mismatch.subscription.node}, left out it follows the publisher'
        )
    return f'{cure}, in {mismatch.subscription.node}'
