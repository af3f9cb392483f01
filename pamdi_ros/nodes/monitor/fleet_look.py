# SPDX-License-Identifier: Apache-2.0
"""Looks at the fleets on the network for some seconds: who is there, who hears whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import time
from typing import Any

from pamdi_ros.doctor.fleet_facts import (
    Endpoint,
    FleetFacts,
    Mismatch,
    NetworkFacts,
    PlanFacts,
    TopicFacts,
)
from pamdi_ros.monitor.collector import Collector
from pamdi_ros.monitor.view import HeldPartition, WorkerView
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.monitor.fleet_observer import Attention, FleetObserver
from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo

#: Between two looks at the graph [s].
GRAPH_PERIOD_S = 0.25
#: Discovery is not over before [s], even where all that was expected is heard.
LEAST_S = 2.0
#: So long it waits for sensors that nobody publishes so far; they may only be found late [s].
SENSORS_S = 4.0


class CannotLook(Exception):  # noqa: N818 - it says what cannot be done
    """There is ROS, but no node can be made; the text says why."""


def look(
    seconds: float, prefix: str = '', workers: Iterable[str] = (), topics: Sequence[str] = ()
) -> NetworkFacts:
    """Listen to the heartbeats and assignments of all fleets, then read the graph.

    :param seconds: for how long at most [s].
    :param prefix: namespace of the fleet that is asked for; empty: none is.
    :param workers: of that fleet; when all are heard, listening ends early.
    :param topics: that its sources read, absolute.
    :raises CannotLook: no node can be made.
    """
    try:
        observer = FleetObserver('pamdi_doctor', Attention.PRESENCE)
    except Exception as error:  # a domain that is none, a middleware that is not installed
        raise CannotLook(str(error).partition(', at ')[0]) from error
    try:
        fleets = _Fleets(observer)
        start_s = time.monotonic()
        while (elapsed_s := time.monotonic() - start_s) < seconds:
            sensors = elapsed_s > SENSORS_S or all(map(observer.node.count_publishers, topics))
            heard = prefix and fleets.heard_all(prefix, workers)
            if elapsed_s > LEAST_S and sensors and heard:
                break
            fleets.find()
            observer.spin(GRAPH_PERIOD_S)
        found = fleets.facts(prefix, topics)
        return NetworkFacts(
            domain=observer.context.get_domain_id(),
            listened_s=time.monotonic() - start_s,
            fleets=found,
            asked=found.get(prefix),
        )
    finally:
        observer.close()


class _Fleets:
    """All fleets that appear, and what was heard of them."""

    def __init__(self, observer: FleetObserver) -> None:
        self._observer = observer
        self._collectors: dict[str, Collector] = {}
        self._workers: dict[str, set[str]] = {}

    def find(self) -> None:
        """Listen to what has appeared."""
        for prefix, members in self._observer.look().items():
            self._workers.setdefault(prefix, set()).update(members.workers)
            if prefix not in self._collectors:
                self._collectors[prefix] = Collector(prefix)
                self._observer.follow(prefix, self._collectors[prefix])
                self._observer.look()

    def heard_all(self, prefix: str, workers: Iterable[str]) -> bool:
        """Tell whether a fleet's workers and its assignment have been heard."""
        collector = self._collectors.get(prefix)
        if collector is None or collector.newest_assignment is None:
            return False
        known = collector.view(time.monotonic()).workers
        return all(name in known and known[name].heard_s is not None for name in workers)

    def facts(self, prefix: str, topics: Sequence[str]) -> dict[str, FleetFacts]:
        """Return all that was heard and is seen now, by namespace.

        :param prefix: of a fleet that is told of even if nothing is seen of it; empty: none.
        :param topics: that its sources read.
        """
        node = self._observer.node
        names = [name for name, _ in node.get_topic_names_and_types()]
        found = {}
        for each in dict.fromkeys([*([prefix] if prefix else []), *sorted(self._workers)]):
            chosen = {name for name in names if name.startswith(f'{each}/')}
            chosen |= {*topics} if each == prefix else set()
            graph = _Graph(node, sorted(chosen))
            collector = self._collectors.get(each) or Collector(each)
            known = collector.view(time.monotonic()).workers
            found[each] = FleetFacts(
                prefix=each,
                topics=graph.topics,
                workers={
                    name: known.get(name, WorkerView(name=name))
                    for name in sorted(self._workers.get(each, ()))
                },
                doubled=collector.doubled(),
                plan=_plan(collector.newest_assignment),
                mismatches=tuple(graph.mismatches),
                pairs=graph.pairs,
            )
        return found


def _plan(message: Any) -> PlanFacts | None:
    """Return what an Assignment says; None where there is none."""
    if message is None:
        return None
    placement: dict[str, tuple[HeldPartition, ...]] = {}
    for part in message.placements:
        held = HeldPartition(model=part.model, first=part.first_unit, last=part.last_unit)
        placement[part.worker] = (*placement.get(part.worker, ()), held)
    return PlanFacts(
        epoch=message.epoch,
        policy=message.policy,
        placement=placement,
        unit_counts={source.model: source.unit_count for source in message.sources},
    )


class _Graph:
    """Endpoints of topics, and which pairs of them do not hear each other."""

    def __init__(self, node: Node, names: Iterable[str]) -> None:
        self._own = node.get_fully_qualified_name()
        self._judged: dict[tuple[str, str], str] = {}
        self.topics: dict[str, TopicFacts] = {}
        self.mismatches: list[Mismatch] = []
        self.pairs = 0
        for name in names:
            self._add(
                name,
                self._others(node.get_publishers_info_by_topic(name)),
                self._others(node.get_subscriptions_info_by_topic(name)),
            )

    def _others(self, infos: list[TopicEndpointInfo]) -> list[TopicEndpointInfo]:
        return [info for info in infos if _node_name(info) != self._own]

    def _add(
        self, name: str, offers: list[TopicEndpointInfo], asks: list[TopicEndpointInfo]
    ) -> None:
        self.topics[name] = TopicFacts(
            publishers=tuple(map(_endpoint, offers)), subscriptions=tuple(map(_endpoint, asks))
        )
        for offer in offers:
            for ask in asks:
                if offer.topic_type != ask.topic_type:
                    continue  # no pair at all
                self.pairs += 1
                if reason := self._reason(offer, ask):
                    self.mismatches.append(
                        Mismatch(
                            topic=name,
                            publisher=_endpoint(offer),
                            subscription=_endpoint(ask),
                            reason=reason,
                        )
                    )

    def _reason(self, offer: TopicEndpointInfo, ask: TopicEndpointInfo) -> str:
        """Why two do not match; large fleets have thousands of pairs and few kinds of them."""
        kind = (str(offer.qos_profile), str(ask.qos_profile))
        if kind not in self._judged:
            told = qos.mismatch(offer.qos_profile, ask.qos_profile)
            self._judged[kind] = told.rpartition('; ERROR: ')[2].strip(' ;')
        return self._judged[kind]


def _endpoint(info: TopicEndpointInfo) -> Endpoint:
    return Endpoint(
        node=_node_name(info), type=info.topic_type, profile=qos.describe(info.qos_profile)
    )


def _node_name(info: TopicEndpointInfo) -> str:
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'
