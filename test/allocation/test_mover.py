# SPDX-License-Identifier: Apache-2.0
"""Moves are published step by step, each when the heartbeats confirm the one before."""

from __future__ import annotations

from dataclasses import replace

from allocation.cases import fleet_of, table
from pamdi_ros.allocation import Costs, plan_for
from pamdi_ros.allocation.replanning.decision import ReplanParameters
from pamdi_ros.allocation.replanning.mover import (
    any_route,
    Holder,
    LoadTimes,
    MOST_ATTEMPTS,
    Mover,
)
from pamdi_ros.assignment import Partition, PipelineStage, Plan, Unit, units_of

MB = 10**6
#: Two blocks of 20 MB each; every worker has room for both, and for little more.
TABLE = table('net', [(1, 20), (1, 20)])
PARAMETERS = ReplanParameters()


def fleet(memory_mb: int) -> dict[str, dict[str, int]]:
    return {name: {'memory_mb': memory_mb, 'ms_per_gflop': 10} for name in 'abc'}


FLEET = fleet_of(fleet(25), {'eye': ('a', 'net', 'critical', 5.0)})


def plan_of(first: str, last: str) -> Plan:
    """Return a plan whose first half is at one worker and whose second is at another."""
    plan = plan_for('static_chain', Costs(fleet=FLEET, tables={'net': TABLE}), epoch=1)
    route = (PipelineStage(first, 0, 1), PipelineStage(last, 1, 2))
    placement: dict[str, tuple[Partition, ...]] = {}
    for stage in route:
        part = Partition('net', stage.first, stage.last)
        placement[stage.worker] = (*placement.get(stage.worker, ()), part)
    return replace(
        plan, placement=placement, sources={'eye': replace(plan.sources['eye'], route=route)}
    )


class Workers:
    """Workers that do what assignments say, or do not."""

    def __init__(self, plan: Plan) -> None:
        self.held = {name: units_of(plan.partitions(name)) for name in FLEET.workers}
        self.epoch = dict.fromkeys(FLEET.workers, plan.epoch)
        self.loading = dict.fromkeys(FLEET.workers, False)
        self.gone: set[str] = set()
        self.broken: set[str] = set()
        self.least_holders = len(FLEET.workers)

    def obey(self, plan: Plan) -> None:
        """Let go first, then load."""
        for name in self.held:
            wanted = units_of(plan.partitions(name))
            self.held[name] &= wanted
            self.epoch[name] = plan.epoch
        self.count()
        for name in self.held:
            if name not in self.broken:
                self.held[name] |= units_of(plan.partitions(name))

    def count(self) -> None:
        """Note how many holders the unit with the fewest has."""
        for unit in range(len(TABLE)):
            there = [name for name, units in self.held.items() if name not in self.gone
                     and ('net', unit) in units]  # fmt: skip
            self.least_holders = min(self.least_holders, len(there))

    def holders(self) -> dict[str, Holder]:
        return {
            name: Holder(units=units, edition=(self.epoch[name], 0), loading=self.loading[name])
            for name, units in self.held.items()
            if name not in self.gone
        }


def move(mover: Mover, workers: Workers, first: Plan, seconds: float = 100.0) -> list[Plan]:
    """Publish the steps of a move as an allocator does; give the assignments."""
    plans: list[Plan] = []
    step: Plan | None = first
    for tick in range(1, int(10 * seconds)):
        now = 0.1 * tick
        if step is not None:
            step = replace(step, epoch=2 + len(plans))
            mover.published(step, now)
            plans.append(step)
            workers.obey(step)
        if not mover.moving:
            return plans
        step = mover.poll(workers.holders(), now)
    return plans


def test_two_workers_change_places_and_both_halves_are_always_held() -> None:
    before, after = plan_of('a', 'b'), plan_of('b', 'a')
    workers, mover = Workers(before), Mover(FLEET, {'net': TABLE}, PARAMETERS)
    plans = move(mover, workers, mover.begin(after, before, workers.holders(), 0.0))
    assert workers.least_holders == 1
    assert workers.held['a'] == units_of(after.partitions('a'))
    assert workers.held['b'] == units_of(after.partitions('b'))
    assert (plans[-1].placement, plans[-1].sources) == (after.placement, after.sources)
    steps = [(plan.step, plan.steps) for plan in plans if plan.steps]
    assert steps == [(number, len(steps)) for number in range(1, len(steps) + 1)]
    for plan in plans[:-1]:  # a fixed route leads over what is there
        for stage in plan.sources['eye'].route:
            assert any(part.covers('net', stage.first, stage.last)
                       for part in plan.partitions(stage.worker))  # fmt: skip


def test_the_next_step_waits_for_the_heartbeats() -> None:
    before, after = plan_of('a', 'b'), plan_of('c', 'c')
    workers, mover = Workers(before), Mover(FLEET, {'net': TABLE}, PARAMETERS)
    after = replace(after, placement={'c': (Partition('net', 0, 1),), 'b': before.placement['b']})
    step = replace(mover.begin(after, before, workers.holders(), 0.0), epoch=2)
    mover.published(step, 0.0)
    assert mover.poll(workers.holders(), 0.1) is None  # nobody has heard of it
    workers.epoch['c'], workers.loading['c'] = 2, True
    assert mover.poll(workers.holders(), 5.0) is None
    workers.held['c'], workers.loading['c'] = units_of(after.partitions('c')), False
    assert mover.poll(workers.holders(), 5.1) is not None
    assert mover.load_times.seconds('c', 20 * MB) == 5.1  # it was measured


def test_a_load_that_fails_leaves_a_fleet_that_serves_and_is_given_up_in_the_end() -> None:
    before, after = plan_of('a', 'b'), plan_of('b', 'c')
    workers, mover = Workers(before), Mover(FLEET, {'net': TABLE}, PARAMETERS)
    workers.broken = {'c'}
    plans = move(mover, workers, mover.begin(after, before, workers.holders(), 0.0))
    assert not mover.moving
    assert 'c did not load net[' in mover.given_up
    assert len(plans) >= MOST_ATTEMPTS
    assert workers.least_holders == 1
    # The last assignment asks nobody for what nobody could load.
    held = {name: units for name, units in workers.held.items() if units}
    assert {name: units_of(plans[-1].partitions(name)) for name in held} == held


def test_a_worker_that_goes_is_done_without_and_time_is_not_waited_for_without_end() -> None:
    before, after = plan_of('a', 'b'), plan_of('b', 'c')
    workers, mover = Workers(before), Mover(FLEET, {'net': TABLE}, PARAMETERS)
    first = replace(mover.begin(after, before, workers.holders(), 0.0), epoch=2)
    mover.published(first, 0.0)
    workers.gone = {'c'}
    assert mover.poll(workers.holders(), 0.1) is not None  # planned again from what is held
    workers, mover = Workers(before), Mover(FLEET, {'net': TABLE}, PARAMETERS)
    mover.published(replace(mover.begin(after, before, workers.holders(), 0.0), epoch=2), 0.0)
    assert mover.poll(workers.holders(), PARAMETERS.step_timeout_s - 1) is None
    assert mover.poll(workers.holders(), PARAMETERS.step_timeout_s + 1) is not None


def test_what_was_lost_meanwhile_is_not_let_go_elsewhere() -> None:
    before, after = plan_of('a', 'b'), plan_of('c', 'b')
    workers, mover = Workers(before), Mover(FLEET, {'net': TABLE}, PARAMETERS)
    first = replace(mover.begin(after, before, workers.holders(), 0.0), epoch=2)
    mover.published(first, 0.0)
    workers.obey(first)
    loading = Holder(units=frozenset(), edition=(2, 0), loading=True)
    assert mover.poll({**workers.holders(), 'c': loading}, 0.1) is None
    # It has it, and has lost it again (restarted) when the other one is to let go.
    step = mover.poll(workers.holders(), 0.2)
    assert step is not None
    assert not units_of(step.partitions('a'))


def test_where_nobody_holds_anything_all_is_loaded_at_once() -> None:
    mover, plan = Mover(FLEET, {'net': TABLE}, PARAMETERS), plan_of('a', 'b')
    empty = {
        name: Holder(units=frozenset(), edition=(0, 0), loading=False) for name in FLEET.workers
    }
    first = mover.begin(plan, None, empty, 0.0)
    assert first.placement == plan.placement
    assert Mover(FLEET, {'net': TABLE}, PARAMETERS).begin(plan, None, {}, 0.0) == plan


def test_a_priority_that_is_set_during_a_move_holds_after_it() -> None:
    before, after = plan_of('a', 'b'), plan_of('b', 'a')
    workers, mover = Workers(before), Mover(FLEET, {'net': TABLE}, PARAMETERS)
    first = mover.begin(after, before, workers.holders(), 0.0)
    mover.prioritised({'eye': 'background'})
    plans = move(mover, workers, first)
    assert plans[-1].sources['eye'].priority_class == 'background'


def test_loads_are_as_declared_until_they_are_measured() -> None:
    times = LoadTimes(100e6)
    assert times.seconds('a', 50 * MB) == 0.5
    times.measured('a', 10 * MB, 1.0)
    times.measured('a', 1000, 9.0)  # of so little nothing follows
    assert times.seconds('a', 50 * MB) == 5.0
    assert times.seconds('b', 50 * MB) == 0.5


def test_any_route_over_what_is_held_has_few_legs() -> None:
    source = plan_of('a', 'b').sources['eye']
    held: dict[str, frozenset[Unit]] = {
        'a': frozenset({('net', 0)}), 'c': frozenset({('net', 0), ('net', 1)})
    }  # fmt: skip
    assert any_route(source, held) == (PipelineStage('c', 0, 2),)
    assert any_route(source, {'a': held['a']}) == ()


def test_a_worker_that_is_gone_before_it_has_loaded_costs_nobody_its_holder() -> None:
    before, after = plan_of('a', 'b'), plan_of('c', 'b')
    workers, mover = Workers(before), Mover(FLEET, {'net': TABLE}, PARAMETERS)
    mover.published(replace(mover.begin(after, before, workers.holders(), 0.0), epoch=2), 0.0)
    workers.gone = {'c'}
    step = mover.poll(workers.holders(), 0.1)
    assert step is not None
    assert step.partitions('a') == before.partitions('a')
    assert step.partitions('b') == before.partitions('b')


def test_an_allocator_that_hears_nobody_changes_nothing() -> None:
    before, after = plan_of('a', 'b'), plan_of('b', 'a')
    workers, mover = Workers(before), Mover(FLEET, {'net': TABLE}, PARAMETERS)
    mover.published(replace(mover.begin(after, before, workers.holders(), 0.0), epoch=2), 0.0)
    for now in (1.0, 100.0, 1000.0):
        assert mover.poll({}, now) is None
    assert mover.moving
    deaf = Mover(FLEET, {'net': TABLE}, PARAMETERS)
    assert deaf.begin(after, before, {}, 0.0) == before
    assert (deaf.moving, bool(deaf.given_up)) == (False, True)


def test_a_heartbeat_of_before_the_assignment_in_force_tells_nothing_of_what_goes() -> None:
    running = replace(plan_of('c', 'b'), epoch=2)  # a has been told to let go of its half
    stale = Holder(units=frozenset({('net', 0)}), edition=(1, 0), loading=False)
    there = {
        'a': stale,
        'b': Holder(units=frozenset({('net', 1)}), edition=(2, 0), loading=False),
        'c': Holder(units=frozenset({('net', 0)}), edition=(2, 0), loading=False),
    }
    mover = Mover(FLEET, {'net': TABLE}, PARAMETERS)
    first = mover.begin(plan_of('a', 'b'), running, there, 0.0)
    assert first.partitions('c') == running.partitions('c')  # a has to load it first
    assert first.steps == 2


def test_a_silent_worker_keeps_what_it_has_and_an_absent_one_is_to_hold_what_it_shall() -> None:
    before, after = replace(plan_of('a', 'b'), epoch=1), plan_of('a', 'c')
    workers = Workers(before)
    workers.gone = {'b'}
    for absent, kept in (((), before), (('b',), after)):
        mover = Mover(FLEET, {'net': TABLE}, PARAMETERS)
        first = mover.begin(after, before, workers.holders(), 0.0, absent=absent)
        assert first.partitions('b') == kept.partitions('b')


def test_a_sequence_that_nobody_approved_never_interrupts_the_most_urgent_class() -> None:
    """Two full workers cannot change places without a third one."""
    before, after = plan_of('a', 'b'), plan_of('b', 'a')
    workers, mover = Workers(before), Mover(FLEET, {'net': TABLE}, PARAMETERS)
    workers.gone = {'c'}
    stays = mover.begin(after, before, workers.holders(), 0.0, absent=('c',))
    assert stays.placement == before.placement
    assert (mover.moving, mover.given_up) == (False, 'it would interrupt net')
