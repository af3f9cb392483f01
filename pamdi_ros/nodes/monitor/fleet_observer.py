# SPDX-License-Identifier: Apache-2.0
"""Listens to fleets from outside, by their public topics: what all who watch a fleet share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from pamdi_ros.fleet import Fleet, fleet_prefix
from pamdi_ros.monitor.discovery import find_fleets, Members
from pamdi_ros.monitor.message_sink import MessageSink
from pamdi_ros.monitor.run_tally import RunTally
from pamdi_ros.msg import Assignment, InferenceResult, SourceStats, WorkerStatus
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.steady import STEADY
import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription

#: Time without an assignment after which the workers' copies are asked for [s].
COPY_PATIENCE_S = 3.0
#: Copies asked for: they are all the same.
COPIES = 3
#: Results taken at each look, at most; the rest is lost here, and only here.
RESULTS_DEPTH = 30
#: A worker each, of a large fleet, may publish at once.
DIAGNOSTICS_DEPTH = 100
MOST_AT_ONCE = 2_000


class Attention(IntEnum):
    """What an observer listens to; each one to all before it, too.

    The first three keep what a middleware's queue holds when they look: the newest heartbeat and
    statistics of each. To take every message costs processor time in proportion to a fleet's
    workers, so only who counts them does (`pamdi up`, the testbed), and is served by turns.
    """

    #: Heartbeats and the assignment.
    PRESENCE = 0
    #: Statistics, too; without an assignment, the workers' copies of it.
    STATE = 1
    #: Results and /diagnostics, too, as many as are there at a look.
    ITEMS = 2
    #: Every message, and reliably where that is offered; but no copies, which tell nothing new.
    ALL = 3


@dataclass(slots=True)
class _Followed:
    """A fleet that is listened to.

    :param since_s: since when, monotonic [s].
    """

    sink: MessageSink
    fleet: Fleet | None
    since_s: float
    subscriptions: dict[str, Subscription] = field(default_factory=dict)


class FleetObserver:
    """A node that listens to any number of fleets, and to each with a sink of its own.

    One thread follows, looks, takes or spins, and closes. Who reads a sink in another one holds
    :attr:`lock`.

    :param name: of the node.
    :param attention: what is listened to.
    :param context: of rclpy; None: one of its own, which leaves signals alone.
    :param longest_wait_s: longest that a message may have waited to be taken [s], asked for each
        heartbeat: what its receive time says beyond is a step of the clock.
    """

    def __init__(
        self,
        name: str,
        attention: Attention,
        *,
        context: Context | None = None,
        longest_wait_s: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self._attention = attention
        self._longest_wait_s = longest_wait_s
        self._owns_context = context is None
        self.context = context if context is not None else Context()
        if self._owns_context:
            rclpy.init(context=self.context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = Node(
            name,
            context=self.context,
            use_global_arguments=False,
            enable_rosout=False,
            start_parameter_services=False,
        )
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self.lock = threading.Lock()
        self._followed: dict[str, _Followed] = {}
        self._failure: Exception | None = None
        self._taken = 0

    def close(self) -> None:
        """Leave ROS."""
        self._executor.shutdown()
        self.node.destroy_node()
        if self._owns_context:
            self.context.try_shutdown()

    # --- whom it listens to ---------------------------------------------------------------------

    def follow(self, prefix: str, sink: MessageSink, fleet: Fleet | None = None) -> None:
        """Listen to a fleet that is there, or may come.

        :param prefix: its absolute namespace.
        :param sink: takes what is heard.
        :param fleet: its file, where there is one: whom that names is listened to at once.
        """
        self._followed[prefix] = _Followed(sink, fleet, time.monotonic())
        self._subscribe_to(prefix, Members())

    def leave(self, prefix: str) -> None:
        """Listen to a fleet no longer, if it was listened to."""
        followed = self._followed.pop(prefix, None)
        for subscription in followed.subscriptions.values() if followed is not None else ():
            self.node.destroy_subscription(subscription)

    def look(self) -> dict[str, Members]:
        """Find fleets, and listen to whoever is new in one that is followed.

        :returns: all that are there, followed or not, by their absolute namespaces.
        """
        found = find_fleets(self.node.get_topic_names_and_types())
        for prefix in self._followed:
            self._subscribe_to(prefix, found.get(prefix, Members()))
        return found

    def topics_followed(self) -> int:
        """Subscriptions that there are."""
        return sum(len(one.subscriptions) for one in self._followed.values())

    # --- what it hears --------------------------------------------------------------------------

    def take(self) -> bool:
        """Take what has come, in as few turns of rclpy's loop as there are; tell whether any.

        :raises ExternalShutdownException: the context's owner has left ROS.
        """
        began = self._taken
        for _ in range(MOST_AT_ONCE):
            before = self._taken
            if not self._turn(0.0) or self._taken == before:
                break
        return self._taken > began

    def spin(self, seconds: float) -> None:
        """Take every message as it comes, for a while [s].

        :raises Exception: what a sink raised.
        """
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self._turn(left_s)

    def _turn(self, timeout_s: float) -> bool:
        """Turn rclpy's loop once; tell whether nothing was amiss.

        A message that cannot be read, of another version perhaps, is passed over.
        """
        try:
            self._executor.spin_once(timeout_sec=timeout_s)
        except ExternalShutdownException:
            raise
        except Exception as error:
            if error is self._failure or not self.context.ok():
                raise
            self.node.get_logger().error(
                f'a message is passed over: {error}',
                throttle_duration_sec=10.0,
                throttle_time_source_type=STEADY,
            )
            return False
        return True

    def _subscribe_to(self, prefix: str, members: Members) -> None:
        """Subscribe to whatever is new of a fleet."""
        followed, level = self._followed[prefix], self._attention
        sink, fleet = followed.sink, followed.fleet
        every = level >= Attention.ALL

        def hear(
            kind: type, topic: str, enter: Callable[[Any, float], None], profile: QoSProfile
        ) -> None:
            if topic not in followed.subscriptions:
                followed.subscriptions[topic] = self.node.create_subscription(
                    kind, topic, self._entering(enter), profile
                )

        hear(Assignment, f'{prefix}/assignment', sink.assignment, qos.ASSIGNMENT)
        if level >= Attention.ITEMS:
            profile = qos.RESULT if every else _newest(RESULTS_DEPTH)
            hear(InferenceResult, f'{prefix}/results', sink.result, profile)
            profile = qos.STATISTICS if every else _newest(DIAGNOSTICS_DEPTH)
            hear(DiagnosticArray, '/diagnostics', sink.diagnostics, profile)
        workers = sorted(members.workers | set(fleet.workers if fleet else ()))
        for name in workers:
            topic = f'{prefix}/workers/{name}/status'
            if topic not in followed.subscriptions:
                followed.subscriptions[topic] = self.node.create_subscription(
                    WorkerStatus, topic, self._entering_status(sink), qos.STATUS
                )
        if level < Attention.STATE:
            return
        for name in sorted(members.sources | set(fleet.sources if fleet else ())):
            profile = qos.STATISTICS if every else qos.STATUS
            hear(SourceStats, f'{prefix}/sources/{name}/stats', sink.stats, profile)
        waited = time.monotonic() - followed.since_s > COPY_PATIENCE_S
        if waited and sink.newest_assignment is None and not every:
            for name in workers[:COPIES]:
                topic = f'{prefix}/workers/{name}/assignment'
                hear(Assignment, topic, sink.assignment, qos.ASSIGNMENT)

    def _entering(self, enter: Callable[[Any, float], None]) -> Callable[[Any], None]:
        """Return a callback that enters a message with its time."""

        def heard(message: Any) -> None:
            self._enter(lambda: enter(message, time.monotonic()))

        return heard

    def _entering_status(self, sink: MessageSink) -> Callable[..., None]:
        """Return a callback that enters a heartbeat with its time on both clocks.

        rclpy hands out the time of reception since Iron; before, the time of taking must do.
        """

        def at(message: WorkerStatus, wall_s: float) -> None:
            waited_s = min(max(0.0, time.time() - wall_s), self._longest_wait_s())
            self._enter(lambda: sink.status(message, time.monotonic() - waited_s, wall_s))

        def informed(message: WorkerStatus, info: dict[str, int]) -> None:
            at(message, 1e-9 * info['received_timestamp'] or time.time())

        def plain(message: WorkerStatus) -> None:
            at(message, time.time())

        return informed if hasattr(Subscription, 'CallbackType') else plain

    def _enter(self, action: Callable[[], None]) -> None:
        """Let a sink take a message; what it raises is no fault of the message."""
        self._taken += 1
        try:
            with self.lock:
                action()
        except Exception as error:
            self._failure = error
            raise


class RunObserver:
    """Takes all that one fleet says and counts it; its owner spins it.

    :param fleet: the fleet.
    :param namespace: put before the fleet's.
    :ivar tally: what was counted.
    :ivar node: for who also wants to ask the fleet.
    """

    def __init__(self, fleet: Fleet, namespace: str = '') -> None:
        prefix = fleet_prefix(fleet, namespace)
        self.tally = RunTally(prefix, fleet)
        self._observer = FleetObserver('pamdi_run', Attention.ALL)
        self._observer.follow(prefix, self.tally, fleet)
        self.node = self._observer.node

    def spin(self, seconds: float) -> None:
        """Take every message as it comes, for a while [s]."""
        self._observer.spin(seconds)

    def close(self) -> None:
        """Leave the fleet."""
        self._observer.close()


def _newest(depth: int) -> QoSProfile:
    """Best effort matches every publisher, and none ever waits for it or sends anything again."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
