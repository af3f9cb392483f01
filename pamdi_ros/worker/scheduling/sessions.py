# SPDX-License-Identifier: Apache-2.0
"""Sessions: consecutive units that the engine has made one of, and runs without a pause.

A compiled runtime is the faster the more units it sees at once, and an urgent task waits for
whatever is under way: so as many units are put together as stay within the quantum on this device.
A session ends wherever tasks enter or leave: at ends of partitions and stages, and at exits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
import math

from pamdi_ros.assignment import Partition, partitions_of, Plan, Unit
from pamdi_ros.worker.commands import FreeSessions, LoadSession
from pamdi_ros.worker.policy import Policy
from pamdi_ros.worker.scheduling.service_times import ServiceTimes
from pamdi_ros.worker.scheduling.unit_store import UnitStore

#: A session that takes longer than so many quanta is made anew of half its units.
TOO_LONG = 1.25
#: The sessions of single units stay beside those of several up to this share of the memory: what
#: a session will take is estimated, and activations need some.
ROOMY = 0.75
#: Bounds on a session's time as a share of its units' own, with which the next ones are planned.
LEAST_GAIN, MOST_GAIN = 0.2, 1.2
#: That share is rounded up to a multiple of this, so that the next start decides the same ranges
#: although it measures a little more or less.
GAIN_STEP = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class LongestRun:
    """What keeps this worker's device longest from anything else.

    :param model: its name.
    :param first: units [first, last) run without a pause.
    :param seconds: that they take [s].
    """

    model: str
    first: int
    last: int
    seconds: float


@dataclass(slots=True)
class Sessions:
    """Those of one worker.

    :param store: what is loaded and serves.
    :param service: how long units take.
    :param quantum_s: longest wanted time of a session [s].
    :param memory_bytes: bound on what the engine holds; None: there is none [byte].
    :ivar making: the session that is being made; None: none is.
    :ivar failed: why sessions could not be made, under the assignment in force.
    """

    store: UnitStore
    service: ServiceTimes
    quantum_s: float
    memory_bytes: int | None
    making: Partition | None = None
    failed: dict[Partition, str] = field(default_factory=dict)
    _made: dict[Unit, Partition] = field(default_factory=dict)
    _fusible: set[str] = field(default_factory=set)
    _ends: dict[str, frozenset[int]] = field(default_factory=dict)
    _gains: dict[str, float] = field(default_factory=dict)
    #: Where a session may end at most, by the unit that it begins with.
    _caps: dict[Unit, int] = field(default_factory=dict)
    #: Sessions that failed when they ran last.
    _doubted: set[Partition] = field(default_factory=set)
    #: Sessions that have taken the place of their units' own.
    _alone: set[Partition] = field(default_factory=set)
    #: More units are to come, and memory is bounded: what stands beside them makes room.
    _crowded: bool = False
    _unit_bytes: dict[Unit, int] = field(default_factory=dict)
    _held_bytes: int = 0
    #: Under an assignment that only has speeds measured nothing is put together.
    _provisional: bool = False

    @property
    def made(self) -> tuple[Partition, ...]:
        """Return the sessions that are there, sorted."""
        return tuple(sorted(self._made.values()))

    def end(self, model: str, unit: int, limit: int | None = None) -> int:
        """Return one past the last unit that is run in one go from a unit on.

        :param limit: it may not lie behind this one; None: it may.
        """
        session = self._made.get((model, unit))
        if session is None or (limit is not None and session.last > limit):
            return unit + 1
        return session.last

    def longest_run(self) -> LongestRun | None:
        """Return the longest run of what serves, as it is expected; None: nothing does."""
        longest: LongestRun | None = None
        for part in self.store.serving:
            unit = part.first
            while unit < part.last and self.service.knows(part.model):
                last = self.end(part.model, unit, part.last)
                seconds = self.service.here_s(part.model, unit, last)
                if longest is None or seconds > longest.seconds:
                    longest = LongestRun(model=part.model, first=unit, last=last, seconds=seconds)
                unit = last
        return longest

    # --- what happens ---------------------------------------------------------------------------

    def is_usual(self, model: str, first: int, last: int) -> bool:
        """Tell whether units run so as a rule: as a session, or as a unit that is in none."""
        inside = (s for s in self._made.values() if s.covers(model, first, last))
        return all((session.first, session.last) == (first, last) for session in inside)

    def assigned(self, plan: Plan, worker: str, policy: Policy) -> None:
        """Take a new assignment: tasks enter and leave at other units, what failed is tried.

        :param worker: this one.
        :param policy: in force, which may end stages elsewhere.
        """
        ends: dict[str, set[int]] = {}
        for parts in plan.placement.values():
            for part in parts:
                ends.setdefault(part.model, set()).update((part.first, part.last))
        for source in plan.sources.values():
            own = ends.setdefault(source.model, set())
            own.update(exit_.unit for exit_ in source.exits)
            for stage in source.route:
                own.update((stage.first, stage.last))
        for part in plan.partitions(worker):
            profile = plan.models.get(part.model)
            unit, cuts = part.first, plan.cuts(worker, part.model)
            while profile is not None and unit < min(part.last, len(profile.flops)):
                end = min(part.last, len(profile.flops))
                unit = max(unit + 1, policy.stage_end(profile, unit, end, cuts))
                ends[part.model].add(unit)
        self._ends = {model: frozenset(units) for model, units in ends.items()}
        self.failed.clear()
        # Of what took too long it is known how many units are enough.
        self._caps = {unit: cap for unit, cap in self._caps.items() if cap > unit[1] + 1}
        self._provisional = plan.provisional
        self._crowded = self.memory_bytes is not None and not self.store.settled

    def hold(self, models: Iterable[str]) -> None:
        """Note that the engine can make sessions of models whose units are here."""
        self._fusible.update(models)

    def unit_loaded(
        self, model: str, unit: int, fusible: bool, unit_bytes: int, held_bytes: int
    ) -> None:
        """Note that a unit was loaded.

        :param fusible: the engine can make sessions of this model.
        :param unit_bytes: that it holds for this unit [byte].
        :param held_bytes: that it holds now for all [byte].
        """
        (self._fusible.add if fusible else self._fusible.discard)(model)
        self._unit_bytes[model, unit] = unit_bytes
        self._held_bytes = held_bytes

    def ran(self, model: str, first: int, last: int, *, well: bool) -> None:
        """Note how a run ended; of single units nothing follows."""
        if last - first > 1 and well:
            self._doubted.discard(Partition(model, first, last))
        elif last - first > 1:
            self._doubted.add(Partition(model, first, last))

    def loaded(
        self, model: str, first: int, last: int, seconds: float, held_bytes: int, problem: str
    ) -> list[FreeSessions]:
        """Note that a session was made, or why it could not be.

        :param seconds: that it takes [s].
        :param held_bytes: that the engine holds now [byte].
        :param problem: empty: it is there.
        :returns: the command to free it, where it is of no use.
        """
        session = Partition(model, first, last)
        if self.making == session:
            self.making = None
        if problem:
            self._give_up(session, problem)
            return []
        self._held_bytes = held_bytes
        if alone_s := self._alone_s(model, first, last):
            gain = math.ceil(seconds / alone_s / GAIN_STEP - 1e-6) * GAIN_STEP
            self._gains.setdefault(model, min(MOST_GAIN, max(LEAST_GAIN, gain)))
        if not self._is_right(session):
            return [FreeSessions((session,))]
        if seconds > TOO_LONG * self.quantum_s and last - first > 1:
            self._caps[model, first] = first + (last - first) // 2
            return [FreeSessions((session,))]
        self._made[model, first] = session
        self.service.fused(model, first, last, seconds)
        return []

    def follow(self) -> list[FreeSessions]:
        """Return the command to free the sessions that are not right any more, if any are."""
        wrong = tuple(sorted(s for s in self._made.values() if not self._is_right(s)))
        for session in wrong:
            del self._made[session.model, session.first]
            self.service.apart(session.model, session.first, session.last)
            self._alone.discard(session)
            if session in self._doubted:
                self._doubted.discard(session)
                self._give_up(session, 'it failed when it ran')
        return [FreeSessions(wrong)] if wrong else []

    def next(self) -> list[LoadSession]:
        """Return the command to make the next session, if one is wanted and none is being made."""
        if self.making is not None or self._provisional:
            return []
        self._crowded = False
        self.making = next(self._wanted(), None)
        if self.making is None:
            return []
        model, first, last = self.making.model, self.making.first, self.making.last
        need_bytes = sum(self._unit_bytes.get((model, unit), 0) for unit in range(first, last))
        alone = self.memory_bytes is not None and (
            self._held_bytes + need_bytes > ROOMY * self.memory_bytes
        )
        if alone:
            self._alone.add(self.making)
        return [LoadSession(model, first, last, alone)]

    # --- which ones -----------------------------------------------------------------------------

    def _wanted(self) -> Iterator[Partition]:
        """Yield the sessions that are to be made and are not there, in order."""
        for part in self._serving():
            unit = part.first
            while unit < part.last:
                last = self.end(part.model, unit, part.last)
                if last == unit + 1:
                    last = self._planned_end(part, unit)
                    if last > unit + 1:
                        yield Partition(part.model, unit, last)
                unit = last

    def _serving(self) -> Iterator[Partition]:
        """Yield what serves of models that the engine can make sessions of."""
        units = {
            (part.model, unit)
            for part in self.store.serving
            if part.model in self._fusible
            for unit in range(part.first, part.last)
        }
        yield from partitions_of(units)

    def _planned_end(self, part: Partition, first: int) -> int:
        """Return where a session that begins with a unit is to end."""
        model, ends = part.model, self._ends.get(part.model, frozenset())
        alone_s = self.service.unit_s(model)
        limit = min(part.last, self._caps.get((model, first), part.last))
        quantum_s = self.quantum_s / self._gains.get(model, 1.0)
        return session_end(alone_s, first, limit, quantum_s, ends)

    def _give_up(self, session: Partition, problem: str) -> None:
        """Run a session's units one by one, under the assignment in force."""
        self.failed[session] = problem
        self._alone.discard(session)
        self._caps[session.model, session.first] = session.first + 1

    def _alone_s(self, model: str, first: int, last: int) -> float:
        alone_s = self.service.unit_s(model)
        return sum(alone_s.get(unit, 0.0) for unit in range(first, last))

    def _is_right(self, session: Partition) -> bool:
        """Tell whether a session's units serve, and no task enters or leaves in its middle."""
        model, first, last = session.model, session.first, session.last
        if self._crowded and session not in self._alone:
            return False
        serves = any(part.covers(model, first, last) for part in self.store.serving)
        ends = self._ends.get(model, frozenset())
        return serves and not any(unit in ends for unit in range(first + 1, last))


def session_end(
    alone_s: Mapping[int, float], first: int, limit: int, quantum_s: float, ends: Collection[int]
) -> int:
    """Return one past the last unit of the session that begins with a unit.

    :param alone_s: times of units one by one, by unit [s]; one without a time is put to no other.
    :param limit: where it ends at the latest.
    :param quantum_s: longest sum of its units' times [s]; one unit alone may be longer.
    :param ends: units that begin no session's middle.
    """
    taken_s, last = alone_s.get(first, quantum_s), first + 1
    while last < limit and last in alone_s and last not in ends:
        taken_s += alone_s[last]
        if taken_s > quantum_s:
            break
        last += 1
    return last


def session_ranges(
    alone_s: Sequence[float], quantum_s: float, ends: Collection[int]
) -> Iterator[tuple[int, int]]:
    """Yield a whole model in sessions: ranges [first, last) of units, in order.

    :param alone_s: times of its units one by one [s]; see :func:`session_end`.
    """
    first, times = 0, dict(enumerate(alone_s))
    while first < len(alone_s):
        last = session_end(times, first, len(alone_s), quantum_s, ends)
        yield first, last
        first = last
