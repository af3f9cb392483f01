# SPDX-License-Identifier: Apache-2.0
"""Takes a fleet's messages one by one, in order of time, and keeps what a report needs of them.

A message is any object with the attributes of the ROS message: rosbags' or one of JSON lines.
Fields that an earlier version of this package did not have read as if they were empty.
"""

from __future__ import annotations

from typing import Any

from pamdi_ros.monitor.view import HopView, ItemView, STATES
from pamdi_ros.recording.bins import Bins
from pamdi_ros.recording.errors import RecordingError
from pamdi_ros.recording.examples import RESULT
from pamdi_ros.recording.records import LinkRecord, Recording, SourceRecord, WorkerRecord
from pamdi_ros.recording.topics import Kind


class RunCollector:
    """Fills a :class:`Recording`.

    :param fleet: name of the fleet.
    :param origin: the file or directory that is read.
    :param storage: how it is stored.
    :param solo_items: first items of every source that ran while nothing else did.
    """

    def __init__(self, *, fleet: str, origin: str, storage: str, solo_items: int = 0) -> None:
        self.recording = Recording(fleet=fleet, origin=origin, storage=storage)
        self._solo_items = solo_items
        self._first_runs: dict[str, int] = {}
        self._takers = {
            Kind.RESULT: self._result,
            Kind.STATS: self._stats,
            Kind.STATUS: self._status,
            Kind.ASSIGNMENT: self._assignment,
        }

    def take(self, kind: Kind, at_s: float, message: Any) -> None:
        """Take in one message.

        :param at_s: when it was recorded, from the begin [s].
        """
        self.recording.heard[kind.name] += 1
        self.recording.duration_s = max(self.recording.duration_s, at_s)
        try:
            self._takers[kind](at_s, message)
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            text = f'a message ({kind.name.lower()}) cannot be understood: {error}'
            raise RecordingError(f'{text}; was it recorded with another version?') from error

    def finish(self) -> Recording:
        """Return the recording, when all messages have been taken in."""
        self.recording.sources = dict(sorted(self.recording.sources.items()))
        self.recording.workers = dict(sorted(self.recording.workers.items()))
        return self.recording

    def _source(self, name: str) -> SourceRecord:
        return self.recording.sources.setdefault(name, SourceRecord(name=name))

    def _worker(self, name: str) -> WorkerRecord:
        return self.recording.workers.setdefault(name, WorkerRecord(name=name))

    # --- one kind of message each ---------------------------------------------------------------

    def _result(self, at_s: float, message: Any) -> None:
        source = self._source(message.source)
        source.model = source.model or message.model
        self._emulated(source, message.emulated)
        if not self.recording.heard[Kind.STATS.name]:
            source.classes.see(at_s, message.priority_class)
        reason = message.reason.partition(':')[0]
        if message.status != RESULT:
            source.drops.setdefault(reason or 'unknown', Bins()).add(at_s)
        else:
            source.results.add(at_s)
            first_run = self._first_runs.setdefault(source.name, message.incarnation)
            if message.seq <= self._solo_items and message.incarnation == first_run:
                source.solo.add(at_s, message.latency_s)
                return
            source.latency.add(at_s, message.latency_s)
            source.late_heard += bool(0 < source.deadline_s < message.latency_s)
        if source.examples.wants(message.status, reason, message.latency_s):
            source.examples.keep(at_s, item_of(message))
        source.examples.count(message.status)

    def _stats(self, at_s: float, message: Any) -> None:
        source = self._source(message.source)
        self._emulated(source, message.emulated)
        source.classes.see(at_s, message.priority_class)
        source.deadlines.see(at_s, float(getattr(message, 'deadline_s', 0.0)))
        source.accepted_hz.add(at_s, message.rate_hz)
        source.result_hz.add(at_s, getattr(message, 'result_rate_hz', 0.0))
        if message.latency_p95_s > 0:
            source.p95.add(at_s, message.latency_p95_s)
        counts = (int(message.results), int(message.late))
        first, _ = source.counts.get(message.incarnation, (counts, counts))
        source.counts[message.incarnation] = (first, counts)
        source.counted_drops[message.incarnation] = _by_name(
            message.drop_reasons, message.drop_counts
        )
        source.in_flight = int(message.in_flight)
        source.solo_s = float(getattr(message, 'solo_s', 0.0)) or source.solo_s

    def _status(self, at_s: float, message: Any) -> None:
        worker = self._worker(message.worker)
        worker.device = message.device or worker.device
        worker.emulated |= bool(message.emulated)
        self.recording.emulated |= worker.emulated
        worker.busy.add(at_s, message.busy_share)
        worker.waiting.add(at_s, float(sum(message.queue_lengths)))
        worker.memory = max(worker.memory, int(message.memory_bytes))
        worker.memory_limit = int(getattr(message, 'memory_limit_bytes', 0))
        _, before, _ = worker.totals.get(message.incarnation, (0, int(message.bytes_out), 0))
        worker.sent.add(at_s, float(max(0, int(message.bytes_out) - before)))
        worker.totals[message.incarnation] = (
            int(message.bytes_in), int(message.bytes_out), int(message.tasks_run),
        )  # fmt: skip
        worker.drops[message.incarnation] = _by_name(message.drop_reasons, message.drop_counts)
        worker.runs.see(at_s, message.incarnation)
        state = int(message.state)
        worker.states.see(at_s, STATES[state] if state < len(STATES) else f'state {state}')
        worker.holds = (
            tuple(
                f'{part.model} units {part.first_unit}–{part.last_unit - 1}'
                for part in message.placements
            )
            or worker.holds
        )
        worker.inversions = int(getattr(message, 'inversions', 0))
        if not self.recording.heard[Kind.ASSIGNMENT.name] and message.epoch:
            self.recording.epochs.see(at_s, int(message.epoch))
        self._links(at_s, worker, message)

    @staticmethod
    def _links(at_s: float, worker: WorkerRecord, message: Any) -> None:
        peers = list(getattr(message, 'link_peers', ()))
        columns = zip(
            peers,
            _column(message, 'link_rate', len(peers)),
            _column(message, 'link_busy', len(peers)),
            _column(message, 'link_slowdown', len(peers)),
            strict=True,
        )
        for peer, rate, busy, slowdown in columns:
            link = worker.links.setdefault(peer, LinkRecord())
            link.rate.add(at_s, rate)
            link.busy.add(at_s, busy)
            if slowdown > 0:
                link.slowdown.add(at_s, slowdown)

    def _assignment(self, at_s: float, message: Any) -> None:
        self.recording.epochs.see(at_s, int(message.epoch))
        self.recording.policy = message.policy
        for told in message.sources:
            source = self._source(told.source)
            source.model = told.model
            source.solo_s = source.solo_s or float(getattr(told, 'solo_s', 0.0))
            if not self.recording.heard[Kind.STATS.name]:
                source.classes.see(at_s, told.priority_class)

    def _emulated(self, source: SourceRecord, emulated: bool) -> None:
        source.emulated |= bool(emulated)
        self.recording.emulated |= source.emulated


def item_of(message: Any) -> ItemView:
    """Return an InferenceResult as displays know it."""
    answer = ', '.join(message.labels[:1]) or message.text
    return ItemView(
        source=message.source,
        seq=int(message.seq),
        incarnation=int(message.incarnation),
        status=int(message.status),
        reason=message.reason,
        priority_class=message.priority_class,
        latency_s=float(message.latency_s),
        exit_unit=int(message.exit_unit),
        answer=answer,
        stays=tuple(
            HopView(
                worker=hop.worker,
                first=int(hop.first_unit),
                last=int(hop.last_unit),
                transfer_s=float(hop.transfer_s),
                queue_s=float(hop.queue_s),
                compute_s=float(hop.compute_s),
                bytes_in=int(hop.bytes_in),
            )
            for hop in message.hops
        ),
    )


def _by_name(names: Any, counts: Any) -> dict[str, int]:
    return {str(name): int(count) for name, count in zip(names, counts, strict=False)}


def _column(message: Any, name: str, length: int) -> list[float]:
    values = [float(value) for value in getattr(message, name, ())]
    return values if len(values) == length else [0.0] * length
