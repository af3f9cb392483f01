# SPDX-License-Identifier: Apache-2.0
"""Observes a running fleet from a thread of its own, and gives views of it."""

from __future__ import annotations

from collections.abc import Callable
import os
import threading
import time

from pamdi_ros.fleet import Fleet, fleet_prefix
from pamdi_ros.monitor.collector import Collector
from pamdi_ros.monitor.view import FleetView
from pamdi_ros.nodes.monitor.fleet_observer import Attention, FleetObserver
from pamdi_ros.nodes.monitor.priority_client import PriorityClient
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException

#: Time between two looks at the newest messages [s]. Nobody reads faster, and a turn of rclpy's
#: loop over 100 subscriptions costs too much to make one for each message.
PERIOD_S = 0.2
#: It is longer for many subscriptions, by this for each [s], up to a bound [s]: a fleet of 50
#: workers and 50 sources is looked at twice a second.
PERIOD_PER_TOPIC_S = 0.005
LONGEST_PERIOD_S = 0.5
#: Time between two looks for topics [s].
LOOK_S = 1.0


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
    :param attention: what is listened to; the newest messages only, so never all of them.
    """

    def __init__(
        self,
        prefix: str = '',
        *,
        fleet: Fleet | None = None,
        context: Context | None = None,
        changed: Callable[[], None] | None = None,
        period_s: float = PERIOD_S,
        attention: Attention = Attention.ITEMS,
    ) -> None:
        self._wanted = prefix or (fleet_prefix(fleet) if fleet is not None else '')
        self._fleet = fleet
        self._changed = changed
        self._period_s = period_s
        self._attention = attention
        self._context = context
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._collector = Collector(self._wanted, fleet)
        self._followed = False
        self._found: tuple[str, ...] = ()
        self._orders: list[tuple[str, str, Callable[[str], None]]] = []
        self._observer: FleetObserver | None = None
        self._thread = threading.Thread(target=self._serve, name='fleet_feed', daemon=True)

    def start(self) -> FleetFeed:
        """Join ROS and begin to listen."""
        self._observer = FleetObserver(
            f'pamdi_watch_{os.getpid()}',  # several may watch one fleet
            self._attention,
            context=self._context,
            longest_wait_s=lambda: 2 * self._pause_s(),  # no message waits for longer
        )
        self._priorities = PriorityClient(self._observer.node)
        self._thread.start()
        return self

    def close(self) -> None:
        """Leave ROS; may be called twice, or without a start."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def fleets(self) -> tuple[str, ...]:
        """Return the absolute namespaces of the fleets that have topics now."""
        with self._lock:
            return self._found

    def follow(self, prefix: str) -> None:
        """Turn to another fleet; empty: the first that is found."""
        with self._lock:
            self._wanted = prefix

    def snapshot(self) -> FleetView:
        """Return what is known now; a view without a name where no fleet was found yet."""
        with self._lock:
            collector = self._collector
        observer = self._observer
        if observer is None:
            return collector.view(time.monotonic())
        with observer.lock:
            return collector.view(time.monotonic())

    def set_priority(self, source: str, priority: str, done: Callable[[str], None]) -> None:
        """Ask the allocator for another class of a source.

        :param done: called from the feed's thread; with why not, or an empty text.
        """
        with self._lock:
            self._orders.append((source, priority, done))

    # --- the feed's thread ----------------------------------------------------------------------

    def _serve(self) -> None:
        observer = self._observer
        assert observer is not None
        look_s = 0.0
        try:
            while observer.context.ok() and not self._stop.wait(self._pause_s()):
                now = time.monotonic()
                if now >= look_s:
                    look_s = now + LOOK_S
                    self._look(observer)
                self._pass_on_orders(now)
                if observer.take() and self._changed is not None:
                    self._changed()
        except (RuntimeError, ExternalShutdownException):
            if observer.context.ok():  # else its owner has left ROS, amid something here
                raise
        finally:
            observer.close()

    def _pause_s(self) -> float:
        """Return the time until the next look at messages [s]."""
        topics = self._observer.topics_followed() if self._observer is not None else 0
        return max(self._period_s, min(LONGEST_PERIOD_S, PERIOD_PER_TOPIC_S * topics))

    def _look(self, observer: FleetObserver) -> None:
        """Find fleets, and whoever is new in the one that is wanted."""
        found = tuple(observer.look())
        with self._lock:
            self._found = found
            before = self._collector.prefix
            prefix = self._wanted or before or next(iter(found), '')
            if prefix != before:
                self._collector = Collector(prefix, self._file_of(prefix))
            collector = self._collector
        if prefix != before:
            observer.leave(before)
            self._followed = False
        if prefix and not self._followed:
            self._followed = True
            observer.follow(prefix, collector, self._file_of(prefix))
            observer.look()

    def _file_of(self, prefix: str) -> Fleet | None:
        """Return the fleet file, unless it is another fleet's."""
        ours = self._fleet is not None and prefix.rpartition('/')[2] == self._fleet.name
        return self._fleet if ours else None

    def _pass_on_orders(self, now: float) -> None:
        with self._lock:
            orders, self._orders = self._orders, []
            prefix = self._collector.prefix
        for source, priority, done in orders:
            self._priorities.ask(prefix, source, priority, done, now)
        self._priorities.look(now)
