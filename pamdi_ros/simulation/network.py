# SPDX-License-Identifier: Apache-2.0
"""The simulated network: interfaces that serialise, latency, relays, a shared medium, faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pamdi_ros.fleet import Fleet, Link
from pamdi_ros.fleet.shortest_paths import quickest, Reached
from pamdi_ros.simulation.clock import Clock
from pamdi_ros.simulation.faults import Faults
from pamdi_ros.simulation.rng import stream

#: Arrivals nearer than this to one another do not contend: rounding, not waiting [s].
ROUNDING_S = 1e-12


class _Queue:
    """One direction of an interface, or a medium: it carries one message at a time.

    :ivar free_s: when the last message that was accepted is through [s].
    """

    __slots__ = ('free_s',)

    def __init__(self) -> None:
        self.free_s = 0.0


class _LinkHop:
    """One link of a way, as a message meets it."""

    __slots__ = ('ends', 'ingress', 'latency_s', 'next', 'out', 's_per_byte')

    def __init__(self, ends: tuple[str, str], link: Link, out: _Queue, ingress: _Queue | None):
        self.ends = ends
        self.latency_s = link.latency_s
        self.s_per_byte = 1 / link.bandwidth_bytes_per_s
        self.out = out
        self.ingress = ingress
        self.next: _LinkHop | None = None


class SimulatedNetwork:
    """Carries messages between workers.

    A message waits for the sender's interface (first come, first sent), takes its size over the
    bandwidth, then the latency; the receiver's interface serialises what comes from many senders.
    Relays store and forward. On a shared medium all messages of the fleet wait for one another.
    What was handed over is sent even where the sender dies.

    :param clock: the world's.
    :param fleet: workers and links.
    :param faults: loss, duplication and delay of messages.
    :param seed: of the run.
    """

    def __init__(self, clock: Clock, fleet: Fleet, faults: Faults, seed: int) -> None:
        self._clock = clock
        self._fleet = fleet
        self._faults = faults
        self._faulty = bool(faults.loss or faults.duplication or faults.delayed)
        self._rng = stream(seed, 'network')
        medium = _Queue() if fleet.links.shared else None
        self._out = {name: medium or _Queue() for name in fleet.workers}
        self._ingress = {name: None if medium else _Queue() for name in fleet.workers}
        self._changed: dict[frozenset[str], Link | None] = {}
        self._ways: dict[tuple[str, str], _LinkHop | None] = {}
        self._reached: dict[str, dict[str, Reached]] = {}
        self._group: frozenset[str] = frozenset()

    def send(
        self, origin: str, target: str, size: int, deliver: Callable[..., None], *arguments: Any
    ) -> bool:
        """Send a message.

        :param size: of the message, overhead included [byte].
        :param deliver: called with the arguments when and if it arrives, twice if doubled.
        :returns: False where no way leads to the target.
        """
        pair = (origin, target)
        hop = self._ways[pair] if pair in self._ways else self._find(pair)
        if hop is None:
            return False
        if not self._faulty:
            self._cross(hop, size, 0.0, deliver, arguments)
            return True
        rng, faults = self._rng, self._faults
        lost = rng.random() < faults.loss
        doubled = rng.random() < faults.duplication
        delay_s = rng.random() * faults.delay_s if rng.random() < faults.delayed else 0.0
        took_s = self._cross(hop, size, delay_s, None if lost else deliver, arguments)
        if doubled:
            again_s = took_s + hop.latency_s + rng.random() * faults.delay_s
            self._clock.at(self._clock.now + again_s, self._landed, hop, size, deliver, arguments)
        return True

    def busy_s(self, worker: str) -> float:
        """Time until a worker's interface has sent what was given to it [s]."""
        return max(0.0, self._out[worker].free_s - self._clock.now)

    def reaches(self, origin: str, target: str) -> bool:
        """Tell whether a way leads to a worker, and no split lies between."""
        pair = (origin, target)
        hop = self._ways[pair] if pair in self._ways else self._find(pair)
        while hop is not None:
            if self._apart(hop):
                return False
            if hop.next is None:
                return True
            hop = hop.next
        return origin == target

    def cut_off(self, worker: str) -> bool:
        """Tell whether a split keeps a worker from the half that has the allocator."""
        return worker in self._group

    def change(self, between: frozenset[str], link: Link | None) -> None:
        """Give two workers another link; None: cut it. What is under way is not touched."""
        self._changed[between] = link
        self._ways.clear()
        self._reached.clear()

    def split(self, group: frozenset[str]) -> None:
        """Let no message pass between a group of workers and the others; an empty group heals."""
        self._group = group

    def _find(self, pair: tuple[str, str]) -> _LinkHop | None:
        """Return the first link of the quickest way; None where there is none."""
        origin, target = pair
        reached = self._reached.get(origin)
        if reached is None:
            workers = tuple(self._fleet.workers)
            reached = self._reached[origin] = quickest(workers, self._link, origin)
        first: _LinkHop | None = None
        while target != origin and target in reached:
            step = reached[target]
            hop = _LinkHop(
                (step.before, target), step.link, self._out[step.before], self._ingress[target]
            )
            hop.next = first
            first, target = hop, step.before
        self._ways[pair] = first
        return first

    def _link(self, start: str, end: str) -> Link | None:
        pair = frozenset((start, end))
        if pair in self._changed:
            return self._changed[pair]
        return self._fleet.links.between(start, end)

    def _cross(
        self,
        hop: _LinkHop,
        size: int,
        delay_s: float,
        deliver: Callable[..., None] | None,
        arguments: tuple[Any, ...],
    ) -> float:
        """Take a message into the interface of the hop's start.

        :param deliver: None: it takes its time on the wire and is lost.
        :returns: time until it is sent [s].
        """
        now = self._clock.now
        out = hop.out
        out.free_s = sent_s = (out.free_s if out.free_s > now else now) + size * hop.s_per_byte
        if deliver is not None:
            landed_s = sent_s + hop.latency_s + delay_s
            self._clock.at(landed_s, self._landed, hop, size, deliver, arguments)
        return sent_s - now

    def _landed(
        self, hop: _LinkHop, size: int, deliver: Callable[..., None], arguments: tuple[Any, ...]
    ) -> None:
        """Take a message that came over a link; the interface may still be busy with another."""
        if self._group and self._apart(hop):
            return
        ingress = hop.ingress
        if ingress is not None:
            now = self._clock.now
            through_s = ingress.free_s + size * hop.s_per_byte
            if through_s > now + ROUNDING_S:
                ingress.free_s = through_s
                self._clock.at(through_s, self._through, hop, size, deliver, arguments)
                return
            ingress.free_s = now
        self._through(hop, size, deliver, arguments)

    def _through(
        self, hop: _LinkHop, size: int, deliver: Callable[..., None], arguments: tuple[Any, ...]
    ) -> None:
        if hop.next is None:
            deliver(*arguments)
        else:
            self._cross(hop.next, size, 0.0, deliver, arguments)

    def _apart(self, hop: _LinkHop) -> bool:
        start, end = hop.ends
        return (start in self._group) != (end in self._group)
