# SPDX-License-Identifier: Apache-2.0
"""What happens to a simulated fleet: its events, faults, sensors, and the books kept of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

from pamdi_ros.fleet import Fleet, PolicyParameters
from pamdi_ros.simulation.faults import Crash, Faults, NetworkSplit, SpeedNoise
from pamdi_ros.simulation.run import Run, Setup, simulate
from pamdi_ros.simulation.simulated_worker import CLOCK_S
from pamdi_ros.worker import Status
import pytest
from simulation.worlds import fleet_of, random_setup, source_of, table_of
from sweep import seeds

#: Four units of 2 ms on a worker of 4 ms/GFLOP; 10 kB in, 10 kB between, a small answer.
TABLE = table_of('net', [0.5] * 4, [10.0] * 4 + [0.1])
FAST = {'ms_per_gflop': 4}
SLOW = {'ms_per_gflop': 40}


def pair(events: list[dict[str, Any]] | None = None, rate_hz: float = 10, **source: Any) -> Fleet:
    """Return a fleet of two: a slow home with a camera, and a fast neighbour."""
    camera = source_of('home', 'net', 'critical', rate_hz, **source)
    return fleet_of({'home': SLOW, 'peer': FAST}, {'camera': camera}, events=events or [])


def run_of(fleet: Fleet, **more: Any) -> Run:
    """Simulate ten seconds of a fleet that must keep its promises."""
    watched = more.pop('watched', True)
    setup = {'policy': 'pa_mdi_plus', 'seconds': 10.0, 'tables': {'net': TABLE}, **more}
    run = simulate(Setup(fleet=fleet, **setup), watched=watched)
    assert (run.unfinished, run.left, run.violations) == ([], [], [])
    return run


def reasons(run: Run) -> Counter[str]:
    """Count how items ended: 'result', or the first word of the reason."""
    return Counter(end.reason.split(':')[0] or 'result' for end in run.ends)


def test_an_item_takes_its_units_its_overhead_and_its_ways() -> None:
    overhead = {'home': {**SLOW, 'overhead_ms': 3}, 'peer': {**FAST, 'overhead_ms': 3}}
    camera = source_of('home', 'net', 'critical', 5)
    alone = run_of(fleet_of(overhead, {'camera': camera}), policy='local')
    assert {round(end.latency_s, 9) for end in alone.ends} == {0.083}
    sent = run_of(fleet_of(overhead, {'camera': camera}), policy='static_chain')
    # 10 kB and a header there, the answer and a header back, 1 ms each way, 8 ms of units.
    way_s = (10_000 + 200) / 12.5e6 + 0.001
    back_s = (40 + 200) / 12.5e6 + 0.001
    quickest_s = min(end.latency_s for end in sent.ends)
    assert quickest_s == pytest.approx(0.011 + way_s + back_s, abs=1e-9)


def test_the_books_add_up() -> None:
    run = run_of(pair())
    assert reasons(run) == {'result': len(run.arrivals['camera'])}
    assert 99 <= len(run.arrivals['camera']) <= 100
    assert run.busy_s['peer'] == pytest.approx(8e-3 * len(run.ends), rel=0.02)
    assert run.frames_out['home'] >= len(run.ends)
    assert run.bytes_out['home'] >= 10_000 * len(run.ends)
    assert len(run.open_samples['camera']) == 40
    assert all(0 <= count <= 2 for _, count in run.open_samples['camera'])
    assert (run.events > 0, run.wall_s > 0) == (True, True)
    times = [end.ended_s for end in run.ends]
    assert times == sorted(times)


def test_progress_grows_to_one() -> None:
    told: list[float] = []
    simulate(Setup(fleet=pair(), tables={'net': TABLE}, policy='local', seconds=1.1), told.append)
    assert told == sorted(told)
    assert (len(told), told[-1]) == (5, 1.0)


def test_jitter_keeps_the_mean_and_spreads_the_times() -> None:
    fleet = fleet_of({'home': FAST}, {'camera': source_of('home', 'net', 'critical', 20)})
    run = run_of(fleet, policy='local', jitter=0.5, seconds=50.0)
    times = [end.latency_s for end in run.ends]
    mean = sum(times) / len(times)
    spread = (sum((time - mean) ** 2 for time in times) / len(times)) ** 0.5
    assert mean == pytest.approx(8e-3, rel=0.03)
    assert spread == pytest.approx(0.5 * 2e-3 * 4**0.5, rel=0.1)


def test_a_recorded_trace_replaces_the_drawn_arrivals() -> None:
    run = run_of(pair(), trace={'camera': (0.5, 0.1, 3.0, 99.0)})
    assert run.arrivals == {'camera': [0.1, 0.5, 3.0]}


def test_arrivals_are_the_same_under_every_policy() -> None:
    setup = Setup(
        fleet=pair(arrival='poisson'), tables={'net': TABLE}, policy='local', seconds=5.0
    )
    other = replace(setup, policy='pa_mdi_plus')
    assert simulate(setup).arrivals == simulate(other).arrivals


def test_a_model_of_many_passes_goes_round() -> None:
    text = source_of('home', 'net', 'critical', 2)
    text['type'] = 'std_msgs/msg/String'
    models = {'net': {'zoo': 'gpt2', 'tokens': 8, 'max_new_tokens': 5}}
    run = run_of(fleet_of({'home': FAST}, {'text': text}, models=models), policy='local')
    assert {round(end.latency_s, 9) for end in run.ends} == {0.04}


# --- events of the fleet file -------------------------------------------------------------------


def test_a_killed_worker_is_done_without_and_used_again_once_revived() -> None:
    run = run_of(pair([{'at_s': 3, 'kill': 'peer'}, {'at_s': 6, 'revive': 'peer'}]))
    assert reasons(run)['result'] >= 0.98 * len(run.ends)
    times = {
        name: [end.latency_s for end in run.ends if start < end.arrived_s < stop]
        for name, start, stop in (('before', 0, 2.9), ('dead', 3.6, 5.9), ('after', 8, 10))
    }
    assert max(times['before']) < 0.02 < min(times['dead'])  # at home it takes 80 ms
    assert max(times['after']) < 0.02


def test_items_of_a_killed_home_end_when_it_comes_back() -> None:
    fleet = pair([{'at_s': 3.0, 'kill': 'home'}, {'at_s': 5.0, 'revive': 'home'}], rate_hz=100)
    run = run_of(fleet, policy='local')
    lost = [end for end in run.ends if end.reason.startswith('home_lost')]
    assert lost
    assert {end.status for end in lost} == {Status.FAILED}
    assert {end.ended_s for end in lost} == {5.0}
    assert not [time for time in run.arrivals['camera'] if 3.0 < time < 5.04]
    assert {key.incarnation for key in (end.key for end in run.ends)} == {
        round(1e9 * CLOCK_S),
        round(1e9 * (CLOCK_S + 5)),
    }


def test_items_of_a_home_that_stays_dead_are_counted_as_lost_with_it() -> None:
    run = run_of(pair([{'at_s': 3.0, 'kill': 'home'}], rate_hz=100), policy='local')
    assert reasons(run)['home_lost']
    assert max(run.arrivals['camera']) <= 3.0


def test_a_priority_may_change_while_the_fleet_runs() -> None:
    sources = {
        'a': source_of('home', 'net', 'critical', 100),
        'b': source_of('home', 'net', 'background', 40, arrival='poisson'),
    }
    swap = [{'at_s': 10, 'set_priority': {'a': 'background', 'b': 'critical'}}]
    workers = {'home': FAST}
    run = run_of(
        fleet_of(workers, sources, events=swap), seconds=20.0,
        parameters=PolicyParameters(aging=False),
    )  # fmt: skip
    early = [e for e in run.ends if e.source == 'b' and 1 < e.arrived_s < 9.5]
    late = [e for e in run.ends if e.source == 'b' and e.arrived_s > 10.1]
    mean = [sum(e.latency_s for e in part) / len(part) for part in (early, late)]
    assert mean[1] < 0.5 * mean[0]


def test_nobody_changes_a_priority_while_the_allocator_is_dead() -> None:
    change = {'at_s': 2, 'set_priority': {'camera': 'background'}}
    dead = run_of(pair([{'at_s': 1, 'kill': 'allocator'}, change]), watched=False)
    plain = run_of(pair(), watched=False)
    assert [end.latency_s for end in dead.ends] == [end.latency_s for end in plain.ends]


def test_a_rate_may_change() -> None:
    events = [{'at_s': 2, 'set_rate': {'camera': 40}}, {'at_s': 4, 'set_rate': {'camera': 1}}]
    times = run_of(pair(events)).arrivals['camera']
    assert len([time for time in times if time < 2]) == pytest.approx(20, abs=1)
    assert len([time for time in times if 2 <= time < 4]) == pytest.approx(80, abs=1)
    assert len([time for time in times if time >= 4]) == pytest.approx(6, abs=1)


def test_a_workers_speed_may_change() -> None:
    fleet = replace(pair([{'at_s': 4, 'set_speed': {'home': 0.5}}], rate_hz=2), policy='local')
    run = run_of(fleet, policy='local')
    assert {round(end.latency_s, 9) for end in run.ends if end.arrived_s < 3.9} == {0.08}
    assert {round(end.latency_s, 9) for end in run.ends if end.arrived_s > 4} == {0.16}


def test_true_speeds_may_be_other_than_the_declared_ones() -> None:
    run = run_of(pair(rate_hz=2), policy='local', speeds={('home', 'net'): 10e-12})
    assert {round(end.latency_s, 9) for end in run.ends} == {0.02}


def test_speed_noise_lasts_for_a_while_and_keeps_within_its_share() -> None:
    noise = Faults(speed_noise=SpeedNoise(share=0.25, least_s=2.0, most_s=3.0))
    latencies = [end.latency_s for end in run_of(pair(), policy='local', faults=noise).ends]
    assert 0.06 <= min(latencies) < max(latencies) <= 0.1
    same = sum(abs(after - before) < 1e-9 for before, after in pairwise(latencies))
    assert same > 0.8 * len(latencies)


def test_a_cut_link_sends_the_work_home() -> None:
    cut = [{'at_s': 3, 'set_link': {'between': ['home', 'peer']}}]
    run = run_of(pair(cut))
    late = [end.latency_s for end in run.ends if end.arrived_s > 4]
    assert min(late) > 0.0799
    assert reasons(run)['result'] >= 0.97 * len(run.ends)


# --- faults -------------------------------------------------------------------------------------


def test_a_worker_that_starts_while_the_allocator_is_dead_is_served_by_a_peer() -> None:
    crashes = (
        Crash(worker='allocator', at_s=0.5),
        Crash(worker='peer', at_s=1.0, for_s=1.0),
    )
    run = run_of(pair(), faults=Faults(crashes=crashes))
    assert max(end.latency_s for end in run.ends if end.arrived_s > 5) < 0.02


def test_an_allocator_that_comes_back_serves_those_who_started_without_it() -> None:
    alone = fleet_of({'home': FAST}, {'camera': source_of('home', 'net', 'critical', 10)})
    crashes = (
        Crash(worker='allocator', at_s=0.5, for_s=4.5),
        Crash(worker='home', at_s=1.0, for_s=1.0),
    )
    times = run_of(alone, faults=Faults(crashes=crashes)).arrivals['camera']
    assert not [time for time in times if 1.0 < time < 5.04]
    assert [time for time in times if time > 5.6]


def test_a_split_fleet_works_in_halves_and_together_again() -> None:
    split = NetworkSplit(group=frozenset({'peer'}), at_s=3.0, for_s=3.0)
    run = run_of(pair(), faults=Faults(splits=(split,)))
    apart = [end.latency_s for end in run.ends if 3.6 < end.arrived_s < 5.9]
    healed = [end.latency_s for end in run.ends if end.arrived_s > 7]
    assert min(apart) > 0.0799
    assert max(healed) < 0.02


def test_clocks_that_differ_change_nothing() -> None:
    plain = run_of(pair())
    offset = run_of(pair(), faults=Faults(clock_offset_s=100_000.0))
    pairs = zip(plain.ends, offset.ends, strict=True)
    assert max(abs(a.latency_s - b.latency_s) for a, b in pairs) < 1e-6


def test_urgent_pieces_wait_for_two_or_three_lesser_chunks_at_most() -> None:
    airtime_s = PolicyParameters().chunk_airtime_s
    for seed in seeds(12):
        setup = replace(random_setup(seed), policy='pa_mdi_plus', faults=Faults())
        links = setup.fleet.links
        if not links.shared:
            setup = replace(setup, fleet=replace(setup.fleet, events=()))
            worst_s = simulate(setup, watched=True).worst_wire_wait_s
            assert worst_s <= 3 * airtime_s, f'seed {seed}'
