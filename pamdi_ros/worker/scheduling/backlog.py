# SPDX-License-Identifier: Apache-2.0
"""The work at one worker: what runs, what waits, what is reserved; and how long it will take."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pamdi_ros.worker.scheduling.queue import ExecutionQueue
from pamdi_ros.worker.stage import Key, StageExecution
from pamdi_ros.worker.task import ItemKey

#: Reservations that each peer may hold at once; they last some ten milliseconds.
MOST_REQUESTS = 64
#: A peer that leaves as many in a row unused, neither declined nor followed by a task, is given
#: none for so long: all decisions here would reckon with work that never comes [s].
PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Reservation:
    """Work that a peer was told there is room for (CTC).

    :param request: (peer, number of its request).
    """

    order: Key
    rank: int
    service_s: float
    until_s: float
    request: tuple[str, int]


class Backlog:
    """What one worker has to do.

    :param classes: number of priority classes.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self.queue = ExecutionQueue()
        self.running: StageExecution | None = None
        #: The item of the running execution has ended: what is computed is for nothing.
        self.void = False
        #: A unit once begun is finished: its time [s] bounds what the next task waits for it.
        self.unit_s = 0.0
        self._reserved: dict[ItemKey, Reservation] = {}
        self._keys: dict[tuple[str, int], ItemKey] = {}
        self._held: Counter[str] = Counter()
        self._unused: Counter[str] = Counter()
        self._paused_s: dict[str, float] = {}

    def choose(self, preemptive: bool, now: float) -> tuple[StageExecution | None, bool]:
        """Let the most urgent execution run: the first that waits, or the one that runs.

        :param preemptive: what waits overtakes a running one of a larger order.
        :returns: it, None where there is nothing; whether it has waited until now.
        """
        running, first = self.running, self.queue.first()
        if first is None or (
            running is not None and not (preemptive and first.order < running.order)
        ):
            is_resumed = False
        else:
            if running is not None:
                self.queue.push(running)
            running = self.running = self.queue.pop()
            running.queue_s += now - running.since_s
            is_resumed = True
        if running is not None:
            running.since_s = now
        return running, is_resumed

    def has_room(self, peer: str, now: float) -> bool:
        """Tell whether a peer may have one more reservation."""
        if self._held[peer] >= MOST_REQUESTS:
            self.expire(now)
        return self._held[peer] < MOST_REQUESTS and now >= self._paused_s.get(peer, now)

    def reserve(self, key: ItemKey, reservation: Reservation) -> None:
        """Count work that is announced."""
        self.unreserve(key)
        self.decline(reservation.request)
        self._reserved[key] = reservation
        self._keys[reservation.request] = key
        self._held[reservation.request[0]] += 1

    def came(self, key: ItemKey, peer: str) -> None:
        """Note that a peer has sent the task of an item: it uses what it asks for."""
        self.unreserve(key)
        self._unused.pop(peer, None)

    def unreserve(self, key: ItemKey) -> None:
        """Cease to count work that is announced."""
        reserved = self._reserved.pop(key, None)
        if reserved is not None:
            del self._keys[reserved.request]
            self._held[reserved.request[0]] -= 1

    def decline(self, request: tuple[str, int]) -> None:
        """Cease to count what a peer takes elsewhere."""
        key = self._keys.get(request)
        if key is not None:
            self.unreserve(key)

    def expire(self, now: float) -> None:
        """Drop the reservations that were not used."""
        late = [key for key, reserved in self._reserved.items() if reserved.until_s <= now]
        for key in late:
            peer = self._reserved[key].request[0]
            self.unreserve(key)
            self._unused[peer] += 1
            if self._unused[peer] >= MOST_REQUESTS:
                del self._unused[peer]
                self._paused_s[peer] = now + PAUSE_S

    def wait_s(
        self, order: Key | None, now: float, preemptive: bool, own: StageExecution | None = None
    ) -> float:
        """Estimate how long a task would wait here [s].

        :param order: of the task: what is served later does not count; None: everything counts.
        :param preemptive: the task overtakes a running one after its unit.
        :param own: the task itself where it waits here already; it does not wait for itself.
        """
        wait_s = 0.0
        running = self.running
        if running is not None and running is not own:
            elapsed_s = now - running.since_s
            if preemptive and order is not None and running.order > order:
                wait_s = max(0.0, self.unit_s - elapsed_s)
            else:
                wait_s = max(0.0, running.left_s - elapsed_s)
        for execution in self.queue:
            if order is not None and execution.order > order:
                break
            if execution is not own:
                wait_s += execution.left_s
        for reserved in self._reserved.values():
            if reserved.until_s > now and (order is None or reserved.order < order):
                wait_s += reserved.service_s
        return wait_s

    def pushed_back(
        self, order: Key, weights: tuple[float, ...], own: StageExecution | None = None
    ) -> float:
        """Sum of the weights of the tasks that one of this order would make wait longer."""
        total = 0.0
        if self.running is not None and self.running is not own and self.running.order > order:
            total += weights[self.running.rank]
        for execution in self.queue:
            if execution.order > order and execution is not own:
                total += weights[execution.rank]
        return total

    def by_class(self, now: float) -> tuple[float, ...]:
        """Compute time waiting or under way, by class [s].

        Reservations are left out: most are gone before a heartbeat that tells of them is replaced.
        """
        totals = [0.0] * self._classes
        if self.running is not None:
            left_s = self.running.left_s - (now - self.running.since_s)
            totals[self.running.rank] += max(0.0, left_s)
        for execution in self.queue:
            totals[execution.rank] += execution.left_s
        return tuple(totals)

    def lengths(self) -> tuple[int, ...]:
        """Tasks waiting or running, by class."""
        lengths = list(self.queue.lengths(self._classes))
        if self.running is not None:
            lengths[self.running.rank] += 1
        return tuple(lengths)
