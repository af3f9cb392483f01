# SPDX-License-Identifier: Apache-2.0
"""Finds a running fleet, listens to it from a thread of its own, and gives views of it."""

from __future__ import annotations

from collections.abc import Callable
import os
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from pamdi_ros.fleet import Fleet, fleet_prefix
from pamdi_ros.monitor.collector import Collector
from pamdi_ros.monitor.discovery import find_fleets, Members
from pamdi_ros.monitor.view import FleetView
from pamdi_ros.msg import Assignment, InferenceResult, SourceStats, WorkerStatus
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.monitor.priority_client import PriorityClient
from pamdi_ros.nodes.steady import STEADY
import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription

#: Time between two looks at the newest messages [s]. Nobody reads faster, and a turn of rclpy's
#: loop over 100 subscriptions costs too much to make one for each message.
PERIOD_S = 0.2
#: It is longer for many subscriptions, by this for each [s], up to a bound [s]: a fleet of 50
#: workers and 50 sources is looked at twice a second.
PERIOD_PER_TOPIC_S = 0.005
LONGEST_PERIOD_S = 0.5
#: Time between two looks for topics [s].
LOOK_S = 1.0
#: Time without an assignment after which the workers' copies are asked for [s].
COPY_PATIENCE_S = 3.0
#: Copies asked for: they are all the same.
COPIES = 3
#: Results taken at each look, at most; the rest is lost here, and only here.
RESULTS_DEPTH = 30
#: A worker each, of a large fleet, may publish at once.
DIAGNOSTICS_DEPTH = 100
MOST_AT_ONCE = 2_000


def _newest(depth: int) -> QoSProfile:
    """Best effort matches every publisher, and none ever waits for it or sends anything again."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)


class FleetFeed:
    """Listens to one fleet; starts with :meth:`start`, ends with :meth:`close`.

    Public topics only; needs neither a fleet file nor a fleet: it may come, go and come again.
    The middleware keeps the newest message of each topic, and this takes them five times a second,
    or twice where there are many.

    :param prefix: absolute namespace of the fleet, such as ``/warehouse``; empty: the first that
        is found.
    :param fleet: its file, where there is one.
    :param context: of rclpy; None: one of its own, which leaves signals alone.
    :param changed: called from the feed's thread after new messages were taken.
    :param period_s: between two looks at the newest messages [s].
    :param items: listen to results and /diagnostics, too.
    """

    def __init__(
        self,
        prefix: str = '',
        *,
        fleet: Fleet | None = None,
        context: Context | None = None,
        changed: Callable[[], None] | None = None,
        period_s: float = PERIOD_S,
        items: bool = True,
    ) -> None:
        self._wanted = prefix or (fleet_prefix(fleet) if fleet is not None else '')
        self._fleet = fleet
        self._changed = changed
        self._period_s = period_s
        self._items = items
        self._owns_context = context is None
        self._context = context if context is not None else Context()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._collector = Collector(self._wanted, fleet)
        self._found: dict[str, Members] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._orders: list[tuple[str, str, Callable[[str], None]]] = []
        self._followed_s = 0.0
        self._assigned = False
        self._taken = 0
        self._thread = threading.Thread(target=self._serve, name='fleet_feed', daemon=True)

    def start(self) -> FleetFeed:
        """Join ROS and begin to listen."""
        if self._owns_context:
            rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        # With the process id: several may watch one fleet.
        self._node = Node(
            f'pamdi_watch_{os.getpid()}',
            context=self._context,
            use_global_arguments=False,
            enable_rosout=False,
            start_parameter_services=False,
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._priorities = PriorityClient(self._node)
        self._thread.start()
        return self

    def close(self) -> None:
        """Leave ROS; may be called twice, or without a start."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def fleets(self) -> tuple[str, ...]:
        """Give the absolute namespaces of the fleets that have topics now."""
        with self._lock:
            return tuple(self._found)

    def follow(self, prefix: str) -> None:
        """Turn to another fleet; empty: the first that is found."""
        with self._lock:
            self._wanted = prefix

    def snapshot(self) -> FleetView:
        """Give what is known now; a view without a name where no fleet was found yet."""
        with self._lock:
            return self._collector.view(time.monotonic())

    def set_priority(self, source: str, priority: str, done: Callable[[str], None]) -> None:
        """Ask the allocator for another class of a source.

        :param done: called from the feed's thread; with why not, or an empty text.
        """
        with self._lock:
            self._orders.append((source, priority, done))

    # --- the feed's thread ----------------------------------------------------------------------

    def _serve(self) -> None:
        look_s = 0.0
        try:
            while self._context.ok() and not self._stop.wait(self._pause_s()):
                now = time.monotonic()
                if now >= look_s:
                    look_s = now + LOOK_S
                    self._look(now)
                self._pass_on_orders(now)
                if self._take() and self._changed is not None:
                    self._changed()
        except (RuntimeError, ExternalShutdownException):
            if self._context.ok():  # else its owner has left ROS, in the middle of something here
                raise
        finally:
            self._executor.shutdown()
            self._node.destroy_node()
            if self._owns_context:
                self._context.try_shutdown()

    def _pause_s(self) -> float:
        """Give the time until the next look [s]."""
        many_s = PERIOD_PER_TOPIC_S * len(self._subscriptions)
        return max(self._period_s, min(LONGEST_PERIOD_S, many_s))

    def _take(self) -> bool:
        """Take what has come, in as few turns of rclpy's loop as there are; tell whether any."""
        began = self._taken
        for _ in range(MOST_AT_ONCE):
            before = self._taken
            try:
                self._executor.spin_once(timeout_sec=0)
            except ExternalShutdownException:
                raise
            except Exception as error:  # one message, of another version perhaps, must not end it
                if not self._context.ok():
                    raise
                self._node.get_logger().error(
                    f'a message is passed over: {error}',
                    throttle_duration_sec=10.0,
                    throttle_time_source_type=STEADY,
                )
                break
            if self._taken == before:
                break
        return self._taken > began

    def _look(self, now: float) -> None:
        """Find fleets, and subscribe to whatever is new of the one that is wanted."""
        found = find_fleets(self._node.get_topic_names_and_types())
        with self._lock:
            self._found = found
            prefix = self._wanted or self._collector.prefix or next(iter(found), '')
            if prefix != self._collector.prefix:
                self._collector = Collector(prefix, self._file_of(prefix))
                self._drop_subscriptions()
        if not prefix:
            return
        if not self._subscriptions:
            self._followed_s, self._assigned = now, False
            collector = self._collector
            self._subscribe(Assignment, f'{prefix}/assignment', self._assignment, qos.ASSIGNMENT)
            if self._items:
                profile = _newest(RESULTS_DEPTH)
                self._subscribe(InferenceResult, f'{prefix}/results', collector.result, profile)
                profile = _newest(DIAGNOSTICS_DEPTH)
                self._subscribe(DiagnosticArray, '/diagnostics', collector.diagnostics, profile)
        members, fleet = found.get(prefix, Members()), self._file_of(prefix)
        workers = members.workers | set(fleet.workers if fleet else ())
        for name in sorted(workers):
            self._subscribe(WorkerStatus, f'{prefix}/workers/{name}/status', None, qos.STATUS)
        for name in sorted(members.sources | set(fleet.sources if fleet else ())):
            topic = f'{prefix}/sources/{name}/stats'
            self._subscribe(SourceStats, topic, self._collector.stats, qos.STATUS)
        if not self._assigned and now - self._followed_s > COPY_PATIENCE_S:
            for name in sorted(workers)[:COPIES]:
                topic = f'{prefix}/workers/{name}/assignment'
                self._subscribe(Assignment, topic, self._assignment, qos.ASSIGNMENT)

    def _file_of(self, prefix: str) -> Fleet | None:
        """Give the fleet file, unless it is another fleet's."""
        ours = self._fleet is not None and prefix.rpartition('/')[2] == self._fleet.name
        return self._fleet if ours else None

    def _subscribe(
        self,
        kind: type,
        topic: str,
        store: Callable[[Any, float], None] | None,
        profile: QoSProfile,
    ) -> None:
        """Subscribe once.

        :param store: takes the message and its time; None: it is a status, with its wall time.
        """
        if topic in self._subscriptions:
            return

        def take(message: Any) -> None:
            self._taken += 1
            with self._lock:
                store(message, time.monotonic())

        # rclpy hands out the time of reception since Iron; before, the time of taking must do.
        informed = store is None and hasattr(Subscription, 'CallbackType')
        if store is not None:
            callback: Callable[..., None] = take
        else:
            callback = self._informed_status if informed else self._status
        self._subscriptions[topic] = self._node.create_subscription(kind, topic, callback, profile)

    def _informed_status(self, message: WorkerStatus, info: dict[str, int]) -> None:
        self._status_at(message, 1e-9 * info['received_timestamp'] or time.time())

    def _status(self, message: WorkerStatus) -> None:
        self._status_at(message, time.time())

    def _status_at(self, message: WorkerStatus, wall_s: float) -> None:
        """Take a status that came at a time of the wall clock [s]."""
        self._taken += 1
        with self._lock:
            # No message waits here for longer than a pause or two: more is a step of the clock.
            waited_s = min(max(0.0, time.time() - wall_s), 2 * self._pause_s())
            self._collector.status(message, time.monotonic() - waited_s, wall_s)

    def _assignment(self, message: Assignment, now_s: float) -> None:
        self._assigned = True
        self._collector.assignment(message, now_s)

    def _drop_subscriptions(self) -> None:
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _pass_on_orders(self, now: float) -> None:
        with self._lock:
            orders, self._orders = self._orders, []
            prefix = self._collector.prefix
        for source, priority, done in orders:
            self._priorities.ask(prefix, source, priority, done, now)
        self._priorities.look(now)
