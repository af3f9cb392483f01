# SPDX-License-Identifier: Apache-2.0
"""Emulated links: what an emulated worker sends is held back as its declared links would do it.

The sender paces, by the simulator's rule: its network interface sends one message after another,
each takes its size over the bandwidth, and the link's latency comes on top. What one process
cannot know is left out: the receiver's interface, which several senders share, and a `shared`
medium, for which senders on different machines would have to wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable
import heapq
import itertools
import threading
import time

from pamdi_ros.fleet import Fleet
from pamdi_ros.fleet.shortest_paths import ShortestPaths

#: Longest time that closing may take [s].
CLOSE_PATIENCE_S = 1.0


def caveat(fleet: Fleet) -> str:
    """Say what of a fleet's links is not emulated; empty where all is that can be."""
    if not fleet.links.shared:
        return ''
    return (
        'links are emulated by their senders: shared: true (one medium for all links) cannot be '
        'emulated across processes, every worker sends as if the medium were its own'
    )


class Interface:
    """When what a worker sends would arrive; first come, first sent.

    :param fleet: tells the links.
    :param worker: whose interface this is.
    """

    def __init__(self, fleet: Fleet, worker: str) -> None:
        self._ways = ShortestPaths(fleet)
        self._worker = worker
        self._free_s = float('-inf')

    def arrival_s(self, peer: str, size: int, now: float) -> float | None:
        """Take a message in and tell when it arrives.

        Over a relay the interface is taken to be busy for the whole way.

        :param size: of the message [byte].
        :param now: [s]
        :returns: on the same clock [s]; None where no way leads to the peer.
        """
        way = self._ways.between(self._worker, peer)
        if way is None:
            return None
        self._free_s = max(now, self._free_s) + size * way.s_per_byte
        return self._free_s + way.latency_s


class EmulatedLinks:
    """Delivers messages when their declared links would have carried them.

    :param interface: tells when.
    :param failed: called with what a delivery raised.
    """

    def __init__(self, interface: Interface, failed: Callable[[Exception], None]) -> None:
        self._interface = interface
        self._failed = failed
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._deliver, name='links', daemon=True)
        self._thread.start()

    def send(self, peer: str, size: int, deliver: Callable[[], object]) -> bool:
        """Have a message delivered in time.

        :param size: of the message [byte].
        :param deliver: publishes it; called in another thread.
        :returns: False where no way leads to the peer, or it is too late.
        """
        with self._changed:
            if self._closed:
                return False
            arrival_s = self._interface.arrival_s(peer, size, time.monotonic())
            if arrival_s is None:
                return False
            heapq.heappush(self._due, (arrival_s, next(self._order), deliver))
            self._changed.notify_all()
        return True

    def drain(self, patience_s: float) -> None:
        """Wait until all has been delivered.

        :param patience_s: longest wait [s].
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._due, patience_s)

    def close(self) -> None:
        """End; what has not been delivered is thrown away, as by an interface that is shut."""
        with self._changed:
            self._closed = True
            self._due.clear()
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_PATIENCE_S)

    def _deliver(self) -> None:
        while (deliver := self._next()) is not None:
            try:
                deliver()
            except Exception as error:  # one message must not cost the others
                self._failed(error)

    def _next(self) -> Callable[[], object] | None:
        """Wait until a message is due and take it; None at the end."""
        with self._changed:
            while not self._closed:
                if not self._due:
                    self._changed.wait()
                elif (left_s := self._due[0][0] - time.monotonic()) > 0:
                    self._changed.wait(left_s)
                else:
                    deliver = heapq.heappop(self._due)[2]
                    self._changed.notify_all()
                    return deliver
        return None
