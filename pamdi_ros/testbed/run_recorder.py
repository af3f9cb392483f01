# SPDX-License-Identifier: Apache-2.0
"""What a run of real processes tells on its public topics, as the simulator's record has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import time
from typing import Any

from pamdi_ros.assignment import Plan
from pamdi_ros.msg import Assignment, InferenceResult, SourceStats, WorkerStatus
from pamdi_ros.simulation.record import Ended, Run
from pamdi_ros.simulation.run import SAMPLE_S
from pamdi_ros.simulation.setup import Setup
from pamdi_ros.worker.task import ItemKey, Status
from rclpy.time import Time

#: A busy share is of the second before its heartbeat [s].
SHARE_S = 1.0
#: A message reaches its home at most so late, and is stamped at most so early [s].
SLACK_S = 0.5
#: Statistics come once a second: those that are fresh after a run are younger than this [s].
FRESH_S = 2.5


class RunRecorder:
    """Hears one run.

    :param setup: what is run.
    :param begin_s: time of day at which it begins [s].
    :param sent: times at which each source's messages are published, since the begin [s].
    :param accepted: items that each source has accepted so far, in all runs of its home.
    """

    def __init__(
        self,
        setup: Setup,
        begin_s: float,
        sent: Mapping[str, Sequence[float]],
        accepted: Mapping[str, int],
    ) -> None:
        self.begin_s = begin_s
        self._setup = setup
        self._sent = sent
        self._accepted_before = accepted
        self._ends: dict[ItemKey, Ended] = {}
        self._twice: list[str] = []
        self._stats: dict[str, SourceStats] = {}
        self._first: dict[str, WorkerStatus] = {}
        self._last: dict[str, WorkerStatus] = {}
        self._shares: dict[str, list[tuple[float, float]]] = {n: [] for n in setup.fleet.workers}
        self._plans: list[tuple[float, Plan]] = []

    def __call__(self, message: Any) -> None:
        """Take any message of the fleet."""
        now_s = time.time() - self.begin_s
        if isinstance(message, InferenceResult):
            self._ended(message)
        elif isinstance(message, SourceStats):
            self._stats[message.source] = message
        elif isinstance(message, WorkerStatus):
            self._first.setdefault(message.worker, message)
            self._last[message.worker] = message
            self._shares[message.worker].append((now_s, message.busy_share))
        elif isinstance(message, Assignment) and now_s >= 0:
            known = max((plan.epoch for _, plan in self._plans), default=0)
            if message.epoch > known:  # it is sent again with its predicted latencies
                self._plans.append((now_s, Plan(epoch=message.epoch)))

    def is_over(self) -> bool:
        """Whether statistics from after the last arrival say that no item is open.

        Where an end of some message was not heard, they must be :data:`FRESH_S` after it.
        """
        counts = dict.fromkeys(self._sent, 0)
        for key in self._ends:
            counts[key.source] += 1
        for name, sent in self._sent.items():
            stats = self._stats.get(name)
            if stats is None or stats.in_flight:
                return False
            after_s = wall_s(stats.header.stamp) - self.begin_s - self._setup.seconds
            if after_s < (0.0 if counts[name] >= len(sent) else FRESH_S):
                return False
        return True

    def told(self, accepted: Mapping[str, int]) -> Run:
        """Return the run.

        Bytes are those of tensors; what only the simulator counts is left at zero.

        :param accepted: items that each source has accepted now, in all runs of its home.
        """
        run = Run(setup=self._setup, violations=self._twice, plans=self._plans)
        run.ends = sorted(self._ends.values(), key=lambda end: end.ended_s)
        for name, sent in self._sent.items():
            ends = [end for end in run.ends if end.source == name]
            arrived = sorted(end.arrived_s for end in ends)
            count = max(len(ends), accepted.get(name, 0) - self._accepted_before.get(name, 0))
            missing = unmatched(sent, arrived)[: count - len(ends)]
            run.unfinished += [ItemKey(name, 0, number) for number, _ in enumerate(missing, 1)]
            run.arrivals[name] = sorted(arrived + missing)
            if (unheard := len(sent) - count) > 0:
                run.left.append(f'{unheard} of {len(sent)} messages of {name} reached no home')
            spans = [(end.arrived_s, end.ended_s) for end in ends]
            run.open_samples[name] = _open(spans, missing, self._setup.seconds)
        for name, last in self._last.items():
            again = self._first[name].incarnation != last.incarnation
            run.bytes_out[name] = last.bytes_out - (0 if again else self._first[name].bytes_out)
        for name, shares in self._shares.items():
            run.busy_s[name] = busy_s(shares, self._setup.seconds)
        return run

    def _ended(self, result: InferenceResult) -> None:
        arrived_s = wall_s(result.header.stamp) - self.begin_s
        if not -SLACK_S < arrived_s < self._setup.seconds + SLACK_S:
            return  # of the run before
        key = ItemKey(result.source, result.incarnation, result.seq)
        if key in self._ends:
            self._twice.append(f'{key} ended twice')
            return
        self._ends[key] = Ended(
            source=result.source,
            key=key,
            arrived_s=arrived_s,
            ended_s=arrived_s + result.latency_s,
            status=Status(result.status),
            reason=result.reason,
            exit_unit=result.exit_unit,
        )


def unmatched(sent: Sequence[float], arrived: Sequence[float]) -> list[float]:
    """Return the times of messages of which no item is known [s].

    :param sent: ascending [s].
    :param arrived: ascending; each belongs to the message sent last before it, or just after [s].
    """
    left = list(sent)
    for at_s in reversed(arrived):
        before = [time_s for time_s in left if time_s <= at_s + SLACK_S]
        if before:
            left.remove(min(before, key=lambda time_s: abs(time_s - at_s)))
    return left


def busy_s(shares: Iterable[tuple[float, float]], seconds: float) -> float:
    """Time that a worker computed in a run [s]; while it is silent it is taken to be dead.

    :param shares: (time since the begin [s], share of the second before it), by time.
    :param seconds: of the run; what lies outside is left out.
    """
    if seconds <= SHARE_S:
        return 0.0
    total_s, last_s = 0.0, SHARE_S
    for at_s, share in shares:
        if SHARE_S <= at_s <= seconds:
            total_s += share * min(at_s - last_s, SHARE_S)
            last_s = at_s
    return total_s * seconds / (seconds - SHARE_S)


def wall_s(stamp: Any) -> float:
    """Time of day of a stamp [s]."""
    return float(Time.from_msg(stamp).nanoseconds) / 1e9


def _open(
    spans: Sequence[tuple[float, float]], missing: Sequence[float], seconds: float
) -> list[tuple[float, int]]:
    """Items open at moments of a run."""
    samples = []
    for number in range(1, int(seconds / SAMPLE_S) + 1):
        at_s = number * SAMPLE_S
        count = sum(first_s <= at_s < last_s for first_s, last_s in spans)
        samples.append((at_s, count + sum(first_s <= at_s for first_s in missing)))
    return samples
