# SPDX-License-Identifier: Apache-2.0
"""What is seen of fleets on the network, as the checks read it; holds no ROS type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pamdi_ros.monitor.view import HeldPartition, WorkerView


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """A publisher or a subscription of a topic.

    :param node: absolute name of its node.
    :param type: of its messages, such as 'sensor_msgs/msg/Image'.
    :param profile: its quality of service in words.
    """

    node: str
    type: str
    profile: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Mismatch:
    """A publisher and a subscription of a topic that do not hear each other.

    :param reason: the middleware's own words.
    """

    topic: str
    publisher: Endpoint
    subscription: Endpoint
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TopicFacts:
    """Who publishes and who listens to one topic."""

    publishers: tuple[Endpoint, ...] = ()
    subscriptions: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanFacts:
    """The assignment that was seen.

    :param placement: partitions by worker.
    :param unit_counts: of the models; 0: unknown.
    """

    epoch: int
    policy: str
    placement: Mapping[str, tuple[HeldPartition, ...]] = field(default_factory=dict)
    unit_counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetFacts:
    """One fleet as it is seen.

    :param prefix: absolute namespace of its topics.
    :param topics: of this fleet, and those that its sources read, by absolute name.
    :param workers: that were heard, or whose heartbeats' topic is published, by name.
    :param doubled: workers of which two runs speak in turn.
    :param plan: None: no assignment was heard.
    :param mismatches: pairs of endpoints that do not hear each other.
    :param pairs: of endpoints that were compared.
    """

    prefix: str
    topics: Mapping[str, TopicFacts] = field(default_factory=dict)
    workers: Mapping[str, WorkerView] = field(default_factory=dict)
    doubled: frozenset[str] = frozenset()
    plan: PlanFacts | None = None
    mismatches: tuple[Mismatch, ...] = ()
    pairs: int = 0

    def topic(self, name: str) -> TopicFacts:
        """Return a topic of the fleet, relative to its namespace, or absolute."""
        absolute = name if name.startswith('/') else f'{self.prefix}/{name}'
        return self.topics.get(absolute, TopicFacts())


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkFacts:
    """All that was seen.

    :param domain: of ROS.
    :param listened_s: for how long [s].
    :param fleets: by absolute namespace.
    :param asked: the one of these that was asked for, seen or not; None: none was.
    """

    domain: int
    listened_s: float
    fleets: Mapping[str, FleetFacts] = field(default_factory=dict)
    asked: FleetFacts | None = None
