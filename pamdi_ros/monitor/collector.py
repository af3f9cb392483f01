# SPDX-License-Identifier: Apache-2.0
"""Gathers a fleet's messages and gives what they tell as one view."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from pamdi_ros.fleet import Fleet
from pamdi_ros.monitor.alert_book import AlertBook
from pamdi_ros.monitor.clock_offset import ClockOffset
from pamdi_ros.monitor.reading import item_view, stamp_s, statistics, worker_view
from pamdi_ros.monitor.view import FleetView, ItemView, SourceView, WorkerView

#: Statistics of a source kept for its history: two minutes.
KEPT_LATENCIES = 120
#: Items kept of each source.
KEPT_ITEMS = 40
#: Silence after which a worker or source that no file and no assignment names is forgotten [s].
FORGET_S = 60.0


@dataclass(slots=True)
class _Heard:
    """The newest message of a worker or source, and when it came [s]."""

    message: Any
    at_s: float
    offset: ClockOffset = field(default_factory=ClockOffset)
    history: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_LATENCIES))


class Collector:
    """What is known of one fleet. Not thread-safe: its owner locks.

    Every method that takes a message takes when it came, on one monotonic clock [s]. Messages are
    stored as they come, the newest only; they are read when a view is asked for. What restarts
    (another incarnation) begins anew; what is silent stays as it was, with its ``heard_s``.

    :param prefix: absolute namespace of the fleet, such as ``/warehouse``.
    :param fleet: its file, where there is one: names what should be there.
    """

    def __init__(self, prefix: str, fleet: Fleet | None = None) -> None:
        self.prefix = prefix
        self._fleet = fleet
        self._workers: dict[str, _Heard] = {}
        self._sources: dict[str, _Heard] = {}
        self._items: dict[str, deque[tuple[int, ItemView]]] = {}
        self._homes: dict[str, str] = {}
        self._results = 0
        self._ended: dict[str, set[int]] = {}
        self._doubled: set[str] = set()
        self._assignment: _Heard | None = None
        self._plan: dict[str, str] = {}
        self._alerts = AlertBook(prefix)

    # --- messages -------------------------------------------------------------------------------

    def status(self, message: Any, now_s: float, wall_s: float | None = None) -> None:
        """Take a WorkerStatus.

        :param now_s: when it came, monotonic [s].
        :param wall_s: the same on the wall clock that stamps are compared with [s]; None: unknown.
        """
        known = self._workers.get(message.worker)
        ended = self._ended.setdefault(message.worker, set())
        if message.incarnation in ended:  # it was taken for over: two speak in turn
            self._doubled.add(message.worker)
        if known is not None and known.message.incarnation != message.incarnation:
            ended.add(known.message.incarnation)
        heard = _follow(self._workers, message.worker, message, now_s)
        if wall_s is not None:
            heard.offset.add(now_s, wall_s - stamp_s(message.header))

    def stats(self, message: Any, now_s: float) -> None:
        """Take a SourceStats."""
        heard = _follow(self._sources, message.source, message, now_s)
        heard.history.append(message.latency_mean_s)

    def assignment(self, message: Any, now_s: float) -> None:
        """Take an Assignment, or a worker's copy of one; an older one than is known counts not.

        A fleet that starts anew without its past may begin with a lower epoch: there the stamp
        tells that it is newer.
        """
        if self._assignment is not None:
            known = self._assignment.message
            later = stamp_s(message.header) > stamp_s(known.header)
            edition = message.epoch, message.allocator
            if edition <= (known.epoch, known.allocator) and not later:
                return
        self._assignment = _Heard(message, now_s)

    def result(self, message: Any, now_s: float) -> None:
        """Take an InferenceResult."""
        self._results += 1
        item = item_view(message)
        kept = self._items.setdefault(item.source, deque(maxlen=KEPT_ITEMS))
        kept.append((self._results, item))
        if item.stays:
            self._homes[item.source] = item.stays[0].worker

    def diagnostics(self, array: Any, now_s: float) -> None:
        """Take a DiagnosticArray; what is not of this fleet is passed over."""
        for status in array.status:
            if not self._alerts.is_ours(status.name):
                continue
            self._alerts.add(status, now_s)
            subject = status.name.removeprefix(f'{self.prefix}: ')
            if subject == 'allocator':
                self._plan = {entry.key: entry.value for entry in status.values}
            elif subject.startswith('source ') and status.hardware_id:
                self._homes[subject.removeprefix('source ')] = status.hardware_id

    @property
    def newest_assignment(self) -> Any:
        """The assignment that counts; None: none was heard."""
        return self._assignment.message if self._assignment is not None else None

    def doubled(self) -> frozenset[str]:
        """Return the workers of which two runs have spoken in turn."""
        return frozenset(self._doubled)

    # --- the view -------------------------------------------------------------------------------

    def view(self, now_s: float) -> FleetView:
        """Return what is known.

        :param now_s: the moment, on the clock of the messages' receive times [s].
        """
        plan = self.newest_assignment
        assigned = {entry.source: entry for entry in plan.sources} if plan is not None else {}
        workers, sources = self._names(now_s)
        newest = max((heard.message.epoch for heard in self._workers.values()), default=0)
        return FleetView(
            name=self.prefix.rpartition('/')[2],
            now_s=now_s,
            epoch=plan.epoch if plan is not None else newest,
            policy=plan.policy if plan is not None else self._fleet.policy if self._fleet else '',
            plan=dict(self._plan),
            classes=self._classes(),
            models={entry.model: entry.unit_count for entry in assigned.values()},
            workers={name: self._worker(name) for name in workers},
            sources={name: self._source(name, assigned.get(name)) for name in sources},
            items=self._latest_items(sources),
            alerts=self._alerts.alerts(now_s),
        )

    def _names(self, now_s: float) -> tuple[list[str], list[str]]:
        """Return workers and sources that the file or the assignment names, or that are heard."""
        workers = dict.fromkeys(self._fleet.workers if self._fleet else ())
        sources = dict.fromkeys(self._fleet.sources if self._fleet else ())
        if self._assignment is not None:
            for part in self._assignment.message.placements:
                workers.setdefault(part.worker)
            for entry in self._assignment.message.sources:
                sources.setdefault(entry.source)
                for stage in entry.route:
                    workers.setdefault(stage.worker)
        for heard, named in ((self._workers, workers), (self._sources, sources)):
            for name in sorted(heard.keys() - named.keys()):
                if now_s - heard[name].at_s > FORGET_S:
                    del heard[name]
                else:
                    named.setdefault(name)
        return list(workers), list(sources)

    def _classes(self) -> tuple[str, ...]:
        if self._fleet is not None:
            return tuple(priority.name for priority in self._fleet.priority_classes)
        if not self._workers:
            return ()
        latest = max(self._workers.values(), key=lambda heard: heard.at_s)
        return tuple(latest.message.priority_classes)

    def _worker(self, name: str) -> WorkerView:
        heard = self._workers.get(name)
        if heard is not None:
            return worker_view(heard.message, heard.at_s, heard.offset.value())
        spec = self._fleet.workers.get(name) if self._fleet is not None else None
        if spec is None:
            return WorkerView(name=name)
        return WorkerView(
            name=name,
            device=spec.device,
            emulated=spec.emulate,
            memory_limit=spec.memory_bytes or 0,
        )

    def _source(self, name: str, assigned: Any | None) -> SourceView:
        """Put together what the file, the assignment and the home say, in that order."""
        known: dict[str, Any] = {'worker': self._homes.get(name, '')}
        spec = self._fleet.sources.get(name) if self._fleet is not None else None
        if spec is not None:
            known |= {
                'worker': spec.worker,
                'model': spec.model,
                'priority_class': spec.priority,
                'deadline_s': spec.deadline_s or 0.0,
            }
        if assigned is not None:
            known |= {
                'model': assigned.model,
                'priority_class': assigned.priority_class,
                'weight': assigned.weight,
                'route': tuple(
                    (stage.worker, stage.first_unit, stage.last_unit) for stage in assigned.route
                ),
                'reason': assigned.reason,
                'solo_s': assigned.solo_s,
                'loaded_s': assigned.loaded_s,
            }
        heard = self._sources.get(name)
        if heard is not None:
            known |= statistics(heard.message)
            known |= {'heard_s': heard.at_s, 'history': tuple(heard.history)}
            known['solo_s'] = heard.message.solo_s or known.get('solo_s', 0.0)
            # A class that was set a moment ago is in the assignment before the home tells it.
            if self._assignment is None or heard.at_s > self._assignment.at_s or assigned is None:
                known['priority_class'] = heard.message.priority_class
        return SourceView(name=name, **known)

    def _latest_items(self, sources: list[str]) -> tuple[ItemView, ...]:
        found = [entry for name in sources for entry in self._items.get(name, ())]
        return tuple(item for _, item in sorted(found, key=lambda entry: entry[0]))


def _follow(known: dict[str, _Heard], name: str, message: Any, now_s: float) -> _Heard:
    """Take the newest message of a name; another run of it begins anew."""
    heard = known.get(name)
    if heard is None or heard.message.incarnation != message.incarnation:
        heard = known[name] = _Heard(message, now_s)
    heard.message, heard.at_s = message, now_s
    return heard
