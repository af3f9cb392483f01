# SPDX-License-Identifier: Apache-2.0
"""What this worker knows of its ways to its peers: as declared, corrected by what is measured."""

from __future__ import annotations

from dataclasses import dataclass
import math

from pamdi_ros.fleet import Fleet, PolicyParameters
from pamdi_ros.fleet.shortest_paths import ShortestPaths

#: Measured slowdowns are kept within these: one bad sample must not end all sending.
LEAST_SLOWDOWN, MOST_SLOWDOWN = 0.1, 100.0
#: A smaller difference from the declared time tells nothing.
LEAST_DIFFERENCE = 0.01
#: A chunk becomes smaller than its link was declared for by this factor at most.
MOST_SHRINKING = 4.0
#: A link that was found slow is not used, and so never measured again: half of what was found is
#: forgotten in this time [s].
HALF_LIFE_S = 2.0
#: No network answers sooner than this [s].
LEAST_ROUND_TRIP_S = 0.0005


@dataclass(slots=True)
class LinkEstimate:
    """The way to one peer.

    :param s_per_byte: as declared [s/B].
    :param latency_s: one way, half of a small message's measured round trip [s].
    :param slowdown: measured time on the wire as a multiple of the declared one.
    :param known_s: time up to which what was measured has been forgotten [s].
    :param gap: something was lost, so that the next measurement would tell nothing.
    """

    s_per_byte: float
    latency_s: float
    slowdown: float = 1.0
    known_s: float = -math.inf
    gap: bool = False

    @property
    def wire_s_per_byte(self) -> float:
        """Return the time that a byte takes now [s/B]."""
        return self.s_per_byte * self.slowdown

    def transfer_s(self, size: int) -> float:
        """Return the time to send tensors over the free wire [s]."""
        return self.latency_s + size * self.wire_s_per_byte


class LinkEstimates:
    """Links of this worker.

    :param fleet: the fleet.
    :param worker: this worker.
    :param parameters: chunk size, credit, weight of a measurement.
    """

    def __init__(self, fleet: Fleet, worker: str, parameters: PolicyParameters) -> None:
        self._worker = worker
        self._parameters = parameters
        self._ways = ShortestPaths(fleet)
        self._links: dict[str, LinkEstimate | None] = {}
        self._last_word_s = -math.inf

    def to(self, peer: str) -> LinkEstimate | None:
        """Return the link to a peer; None where no way leads there."""
        if peer not in self._links:
            way = self._ways.between(self._worker, peer)
            self._links[peer] = (
                None if way is None else LinkEstimate(way.s_per_byte, way.latency_s)
            )
        return self._links[peer]

    def between_s(self, origin: str, target: str, size: int) -> float:
        """Return the declared time from any worker to any other [s]; infinite where no way leads.

        :param size: tensor bytes [byte].
        """
        latency_s, wire_s = self.way_s(origin, target, size)
        return latency_s + wire_s

    def way_s(self, origin: str, target: str, size: int) -> tuple[float, float]:
        """As :meth:`between_s`, latency and time on the wire apart [s]."""
        if origin == target:
            return 0.0, 0.0
        if origin == self._worker:
            link = self.to(target)
            return (
                (math.inf, 0.0) if link is None else (link.latency_s, size * link.wire_s_per_byte)
            )
        way = self._ways.between(origin, target)
        return (math.inf, 0.0) if way is None else (way.latency_s, size * way.s_per_byte)

    def slowdowns(self, now: float) -> dict[str, float]:
        """Forget what time has made doubtful, and give the slowdowns that are left, by peer."""
        for link in self._links.values():
            if link is not None and link.slowdown != 1.0:
                kept = 0.5 ** ((now - link.known_s) / HALF_LIFE_S)
                link.slowdown = 1.0 + kept * (link.slowdown - 1.0)
                if abs(link.slowdown - 1.0) < LEAST_DIFFERENCE:
                    link.slowdown = 1.0
                link.known_s = now
        return {
            peer: link.slowdown
            for peer, link in self._links.items()
            if link is not None and link.slowdown != 1.0
        }

    def chunk_bytes(self, peer: str) -> int:
        """Return the size of a chunk to a peer: a few milliseconds on its link [byte].

        A link that is slow because every message costs its hosts time would be slower still with
        smaller chunks, and its chunks smaller still: hence the bound on what a slowdown does.
        """
        parameters = self._parameters
        link = self.to(peer)
        if link is None or link.wire_s_per_byte <= 0:
            return parameters.most_chunk_bytes
        slowdown = min(link.slowdown, MOST_SHRINKING)
        size = int(parameters.chunk_airtime_s / (link.s_per_byte * slowdown))
        return max(parameters.least_chunk_bytes, min(parameters.most_chunk_bytes, size))

    def credit(self, peer: str) -> int:
        """Return how many chunks may be under way to a peer: one more than fill its round trip."""
        link = self.to(peer)
        airtime_s = self.chunk_bytes(peer) * link.wire_s_per_byte if link is not None else 0.0
        if link is None or airtime_s <= 0:
            return self._parameters.most_credit
        chunks = 2 + math.ceil(max(2 * link.latency_s, LEAST_ROUND_TRIP_S) / airtime_s - 0.5)
        return max(2, min(self._parameters.most_credit, chunks))

    def measured(self, peer: str, size: int, sent_s: float, alone: bool, now: float) -> None:
        """Take the word that a piece has come.

        Its time on the wire began when the piece before it had come, or when it was sent where
        nothing was before it. (Only this clock is needed.)

        :param size: of the piece [byte].
        :param sent_s: when it was sent [s].
        :param alone: nothing else was under way from here.
        """
        link = self.to(peer)
        if link is None:
            return
        weight = self._parameters.ewma_weight
        if size < self._parameters.least_chunk_bytes:
            if alone:
                sample_s = (now - sent_s - size * link.wire_s_per_byte) / 2
                link.latency_s += weight * (max(0.0, sample_s) - link.latency_s)
        elif link.gap:
            link.gap = False
        elif link.s_per_byte > 0:
            wire_s = now - max(sent_s + 2 * link.latency_s, self._last_word_s)
            ratio = wire_s / (size * link.s_per_byte)
            ratio = max(LEAST_SLOWDOWN, min(MOST_SLOWDOWN, ratio))
            link.slowdown += weight * (ratio - link.slowdown)
            link.known_s = now
        self._last_word_s = now
