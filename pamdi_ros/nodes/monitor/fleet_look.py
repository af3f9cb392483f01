# SPDX-License-Identifier: Apache-2.0
"""Looks at the fleets on the network for some seconds: who is there, who hears whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
import time

from pamdi_ros.doctor.fleet_facts import (
    Endpoint,
    FleetFacts,
    Mismatch,
    NetworkFacts,
    PlanFacts,
    TopicFacts,
)
from pamdi_ros.monitor.clock_offset import ClockOffset
from pamdi_ros.monitor.discovery import find_fleets
from pamdi_ros.monitor.reading import stamp_s, worker_view
from pamdi_ros.monitor.view import HeldPartition, WorkerView
from pamdi_ros.msg import Assignment, WorkerStatus
from pamdi_ros.nodes import qos
import rclpy
from rclpy.executors import SingleThreadedExecutor
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
    context = rclpy.Context()
    try:
        rclpy.init(context=context)
        node = rclpy.create_node('pamdi_doctor', context=context, enable_rosout=False)
    except Exception as error:  # a domain that is none, a middleware that is not installed
        raise CannotLook(str(error).partition(', at ')[0]) from error
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        ears = _Ears(node)
        start_s = time.monotonic()
        while (elapsed_s := time.monotonic() - start_s) < seconds:
            sensors = elapsed_s > SENSORS_S or all(map(node.count_publishers, topics))
            heard = prefix and ears.heard_all(prefix, workers)
            if elapsed_s > LEAST_S and sensors and heard:
                break
            ears.follow_graph()
            _serve(executor, GRAPH_PERIOD_S)
        fleets = ears.fleets(prefix, topics)
        return NetworkFacts(
            domain=context.get_domain_id(),
            listened_s=time.monotonic() - start_s,
            fleets=fleets,
            asked=fleets.get(prefix),
        )
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


def _serve(executor: SingleThreadedExecutor, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        try:
            executor.spin_once(timeout_sec=left_s)
        except Exception:  # a message of another version of pamdi_ros: that worker stays silent
            continue


class _Ears:
    """Subscriptions to all fleets that appear, and what they heard."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._open: set[str] = set()
        self._workers: dict[str, dict[str, WorkerView]] = {}
        self._offsets: dict[tuple[str, str], ClockOffset] = {}
        self._ended: dict[tuple[str, str], set[int]] = {}
        self._doubled: dict[str, set[str]] = {}
        self._plans: dict[str, PlanFacts] = {}

    def follow_graph(self) -> None:
        """Subscribe to what has appeared."""
        for prefix, members in find_fleets(self._node.get_topic_names_and_types()).items():
            known = self._workers.setdefault(prefix, {})
            for name in members.workers - known.keys():
                known[name] = WorkerView(name=name)
                topic = f'{prefix}/workers/{name}/status'
                heard = partial(self._heartbeat, prefix, name)
                self._node.create_subscription(WorkerStatus, topic, heard, qos.STATUS)
            if prefix not in self._open:
                self._open.add(prefix)
                assigned = partial(self._assignment, prefix)
                topic = f'{prefix}/assignment'
                self._node.create_subscription(Assignment, topic, assigned, qos.ASSIGNMENT)

    def heard_all(self, prefix: str, workers: Iterable[str]) -> bool:
        """Tell whether a fleet's workers and its assignment have been heard."""
        known = self._workers.get(prefix, {})
        return prefix in self._plans and all(
            name in known and known[name].heard_s is not None for name in workers
        )

    def fleets(self, prefix: str, topics: Sequence[str]) -> dict[str, FleetFacts]:
        """Give all that was heard and is seen now.

        :param prefix: of a fleet that is given even if nothing is seen of it; empty: none.
        :param topics: that its sources read.
        """
        names = [name for name, _ in self._node.get_topic_names_and_types()]
        prefixes = dict.fromkeys([*([prefix] if prefix else []), *sorted(self._workers)])
        found = {}
        for each in prefixes:
            chosen = {name for name in names if name.startswith(f'{each}/')}
            chosen |= {*topics} if each == prefix else set()
            graph = _Graph(self._node, sorted(chosen))
            found[each] = FleetFacts(
                prefix=each,
                topics=graph.topics,
                workers=self._workers.get(each, {}),
                doubled=frozenset(self._doubled.get(each, ())),
                plan=self._plans.get(each),
                mismatches=tuple(graph.mismatches),
                pairs=graph.pairs,
            )
        return found

    def _heartbeat(self, prefix: str, worker: str, message: WorkerStatus) -> None:
        now_s = time.monotonic()
        key = (prefix, worker)
        before = self._workers[prefix][worker].incarnation
        ended = self._ended.setdefault(key, set())
        if message.incarnation in ended:  # it was taken for over: two speak in turn
            self._doubled.setdefault(prefix, set()).add(worker)
        if before not in (0, message.incarnation):
            ended.add(before)
        offset = self._offsets.setdefault(key, ClockOffset())
        offset.add(now_s, time.time() - stamp_s(message.header))
        self._workers[prefix][worker] = worker_view(message, now_s, offset.value())

    def _assignment(self, prefix: str, message: Assignment) -> None:
        placement: dict[str, tuple[HeldPartition, ...]] = {}
        for part in message.placements:
            held = HeldPartition(model=part.model, first=part.first_unit, last=part.last_unit)
            placement[part.worker] = (*placement.get(part.worker, ()), held)
        self._plans[prefix] = PlanFacts(
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
