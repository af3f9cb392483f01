# SPDX-License-Identifier: Apache-2.0
"""Circuit breakers: a model that fails here is withdrawn, tried again, and trusted step by step.

A worker whose units raise looks idle, and would attract all work. So a model that fails is taken
back (open), loaded again after a pause, its units run on zeros (half open), and then serves on
probation, where one failure is enough, until it has done well as often as it may fail in a row.

An item that makes every worker fail is no worker's fault. Where several sources use a model and
only one's items fail, the unit is run on zeros at once: if it does well, the items are taken for
bad ones.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
import math

from pamdi_ros.fleet import PolicyParameters
from pamdi_ros.worker.scheduling.unit_store import UnitStore
from pamdi_ros.worker.task import ItemKey, reason_word

#: Words of failures that are this worker's, not the item's: it may do well elsewhere.
SICK = ('compute_error', 'out_of_memory', 'not_held', 'hung')
#: A test that has waited for so long for nothing else to do takes turns with what there is [s].
TEST_PATIENCE_S = 0.5
#: Lines for people that wait to be told.
MOST_NEWS = 20
REMEDIES = {
    'out_of_memory': 'give this worker less to hold (memory_mb), or end what else uses its memory',
    'hung': 'look at its device (dmesg, nvidia-smi); the process is restarted where it is told to',
}
REMEDY = "look at this worker's log and device; it is tried again by itself"


#: An item, and which copy of it failed.
Failure = tuple[ItemKey, int]


class State(Enum):
    """How far a model is trusted here."""

    WITHDRAWN = 'withdrawn'
    LOADING = 'loading'
    TESTED = 'tested'
    SUSPECT = 'suspect'
    PROBATION = 'probation'
    TRUSTED = 'trusted'


@dataclass(slots=True)
class Breaker:
    """One model's.

    :param failing: units whose last run failed, and their failures in a row.
    :param problem: 'word: explanation' of the last failure; empty: there is none.
    :param again_s: when it is tried again [s].
    :param pause_s: after the next failure [s].
    :param to_test: units that are still to be tested.
    :param probation: runs that must still go well.
    :param since_s: when its tests became due [s].
    """

    pause_s: float
    state: State = State.TRUSTED
    failing: dict[int, list[Failure]] = field(default_factory=dict)
    problem: str = ''
    again_s: float = math.inf
    to_test: list[int] = field(default_factory=list)
    probation: int = 0
    since_s: float = 0.0


@dataclass(slots=True)
class Breakers:
    """Those of one worker.

    :ivar changed: something was withdrawn or is to be tried: the machine is to follow.
    :ivar news: what people are to be told, in a log: (it is bad, text).
    """

    store: UnitStore
    parameters: PolicyParameters
    changed: bool = False
    news: deque[tuple[bool, str]] = field(default_factory=lambda: deque(maxlen=MOST_NEWS))
    _models: dict[str, Breaker] = field(default_factory=dict)
    _next_s: float = math.inf

    def failed(
        self, model: str, unit: int, failure: Failure, reason: str, sources: int, now: float
    ) -> None:
        """Note that a unit failed with an item; the same copy of an item counts once.

        :param sources: that use the model.
        """
        breaker = self._breaker(model)
        failures = breaker.failing.setdefault(unit, [])
        if failure not in failures:
            failures.append(failure)
            del failures[: -self.parameters.failures_in_a_row]
        breaker.problem = reason
        enough = len(failures) >= self.parameters.failures_in_a_row
        if not (breaker.state is State.PROBATION or (breaker.state is State.TRUSTED and enough)):
            return
        if sources > 1 and len({key.source for key, _ in failures}) == 1:
            breaker.state, breaker.to_test, breaker.since_s = State.SUSPECT, [unit], now
            return
        times = '' if len(failures) == 1 else f' ({len(failures)} times in a row)'
        self._withdraw(model, breaker, f'unit {unit}{times}', now)

    def overdue(self, model: str, unit: int, reason: str, now: float) -> None:
        """Note that a unit takes far too long: once is enough."""
        breaker = self._breaker(model)
        breaker.problem = reason
        if breaker.state is not State.WITHDRAWN:
            self._withdraw(model, breaker, f'unit {unit}', now)

    def done(self, model: str, unit: int) -> None:
        """Note that a unit did its work."""
        breaker = self._models.get(model)
        if breaker is None:
            return
        breaker.failing.pop(unit, None)
        if breaker.state is State.PROBATION:
            breaker.probation -= 1
        self._settle(model, breaker)

    def tested(self, model: str, unit: int, now: float, problem: str = '') -> None:
        """Take the outcome of a test.

        :param problem: 'word: explanation'; empty: it went well.
        """
        breaker = self._models.get(model)
        if breaker is None or breaker.state not in (State.TESTED, State.SUSPECT):
            return
        if problem:
            breaker.problem = problem
            self._withdraw(model, breaker, f'unit {unit} in its test', now)
            return
        if unit in breaker.to_test:
            breaker.to_test.remove(unit)
        if breaker.state is State.SUSPECT:  # it is the items' fault
            breaker.state = State.PROBATION if breaker.probation > 0 else State.TRUSTED
            breaker.failing.pop(unit, None)
            self._settle(model, breaker)
        elif not breaker.to_test:
            self._serve(model, breaker, now)

    def loaded(self, model: str, now: float, problem: str = '') -> None:
        """Note that a unit of a model was loaded, or why it could not be."""
        if problem:
            breaker = self._breaker(model)
            breaker.problem = f'load_failed: {problem}'
            if breaker.again_s == math.inf:  # several units that fail at once are one failure
                self._pause(breaker, now)
        if model in self._models:
            self._look(model, self._models[model], now)

    def assigned(self, now: float) -> None:
        """Follow a new assignment: what is to be tested may be another now."""
        for model, breaker in list(self._models.items()):
            breaker.failing.clear()
            breaker.to_test.clear()
            if breaker.state is State.SUSPECT:
                breaker.state = State.PROBATION if breaker.probation > 0 else State.TRUSTED
            elif breaker.state is State.TESTED:
                breaker.state = State.LOADING
            self._look(model, breaker, now)

    def due(self, now: float) -> None:
        """Have tried again what has paused long enough."""
        if now < self._next_s:
            return
        for model, breaker in self._models.items():
            if breaker.again_s <= now:
                breaker.again_s = math.inf
                self.store.readmit(model)
                if breaker.state is State.WITHDRAWN:
                    breaker.state = State.LOADING
                self.changed = True
        self._next_s = min((b.again_s for b in self._models.values()), default=math.inf)
        for model, breaker in list(self._models.items()):
            self._look(model, breaker, now)

    def next_test(self) -> tuple[str, int] | None:
        """Return the unit that is to be tested next; None: there is none."""
        for model, breaker in self._models.items():
            if breaker.to_test:
                return model, breaker.to_test[0]
        return None

    def presses(self, now: float) -> bool:
        """Tell whether a test should wait no longer for nothing else to do."""
        return any(
            breaker.to_test
            and (breaker.state is State.SUSPECT or now - breaker.since_s > TEST_PATIENCE_S)
            for breaker in self._models.values()
        )

    def taken_back(self) -> set[str]:
        """Return the models that are to be freed and not to be loaded before they are due."""
        return {
            model
            for model, breaker in self._models.items()
            if breaker.state is State.WITHDRAWN and model not in self.store.withdrawn
        }

    def withdrawn(self) -> tuple[str, ...]:
        """Return the models that are wanted and cannot be run just now, sorted."""
        failed = {model for model, _ in self.store.failed}
        wanted = {part.model for part in self.store.wanted}
        return tuple(sorted(wanted & (self.store.untrusted | failed)))

    def problems(self, now: float) -> str:
        """Return what is withdrawn, why, and what to do; empty: nothing is."""
        texts = []
        for model in self.withdrawn():
            breaker = self._models.get(model)
            if breaker is None or model not in self.store.untrusted:
                continue  # the store says why it could not be loaded
            what = 'it is being tried'
            if breaker.again_s < math.inf:
                what = f'it is tried again in {max(0.0, breaker.again_s - now):.1f} s'
            texts.append(f'model {model} is withdrawn: {_with_remedy(breaker.problem)}; {what}')
        return '; '.join(texts)

    def _breaker(self, model: str) -> Breaker:
        known = self._models.get(model)
        if known is None:
            known = self._models[model] = Breaker(self.parameters.reload_pause_s)
        return known

    def _withdraw(self, model: str, breaker: Breaker, what: str, now: float) -> None:
        breaker.state = State.WITHDRAWN
        breaker.failing.clear()
        breaker.to_test.clear()
        self._pause(breaker, now)
        self.store.untrusted.add(model)  # at once; the machine has it freed
        self.changed = True
        pause_s = breaker.again_s - now
        self.news.append(
            (
                True,
                f'model {model} is withdrawn, {what} failed: {_with_remedy(breaker.problem)}; it '
                f'is tried again in {pause_s:.1f} s',
            )
        )

    def _pause(self, breaker: Breaker, now: float) -> None:
        breaker.again_s = now + breaker.pause_s
        breaker.pause_s = min(2 * breaker.pause_s, self.parameters.longest_reload_pause_s)
        self._next_s = min(self._next_s, breaker.again_s)

    def _look(self, model: str, breaker: Breaker, now: float) -> None:
        """See whether all of a model is loaded (again), and go on with it."""
        units = self.store.units_of(model)
        if units is None:
            return
        if breaker.state is State.LOADING:
            breaker.state, breaker.to_test = State.TESTED, list(units)
            breaker.since_s = now
            self.changed = True
            if not units:
                self._serve(model, breaker, now)
        elif (
            breaker.state is State.TRUSTED and not breaker.failing and breaker.again_s == math.inf
        ):
            failed = any(name == model for name, _ in self.store.failed)
            if not failed:
                self._settle(model, breaker)  # what could not be loaded is there

    def _serve(self, model: str, breaker: Breaker, now: float) -> None:
        units = self.store.units_of(model)
        if units is None:  # more of it is wanted meanwhile
            breaker.state = State.LOADING
            return
        count = len(units)
        breaker.state = State.PROBATION
        breaker.probation = self.parameters.failures_in_a_row * count
        self.store.trust(model)
        self.changed = True
        self.news.append((False, f'model {model} works again, and serves on probation'))
        self._settle(model, breaker)

    def _settle(self, model: str, breaker: Breaker) -> None:
        """Trust a model as one that never failed, if it has earned that."""
        if breaker.probation > 0 or breaker.state not in (State.PROBATION, State.TRUSTED):
            return
        if breaker.failing:
            return  # another unit's failures still count
        if breaker.state is State.PROBATION:
            self.news.append((False, f'model {model} is trusted again'))
        if any(name == model for name, _ in self.store.failed):
            breaker.state = State.TRUSTED  # a part of it is still to be loaded
            return
        del self._models[model]


def _with_remedy(problem: str) -> str:
    return f'{problem}; {REMEDIES.get(reason_word(problem), REMEDY)}'
