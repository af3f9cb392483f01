# SPDX-License-Identifier: Apache-2.0
"""Early exits under load: who leaves early, what that saves, and what it is worth.

Two workers of 32 ms an item; exits after 12 and 20 ms of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from pamdi_ros.fleet import PolicyParameters
from pamdi_ros.simulation.measures import measure, SourceMeasures
from pamdi_ros.simulation.run import Run, Setup, simulate
from pamdi_ros.simulation.summary import summary
from pamdi_ros.worker import Status
import pytest
from simulation.worlds import fleet_of, source_of, table_of

TABLE = table_of('net', [0.5] * 8, [30.0] * 8 + [0.1])
CLASSES = {
    'critical': {'weight': 16, 'qos': {'depth': 2, 'lifespan_ms': 500}},
    'normal': {'weight': 4, 'qos': {'depth': 4, 'lifespan_ms': 3000}},
    'background': {'weight': 1, 'qos': {'depth': 8, 'lifespan_ms': 5000}},
}
SHARES = {'critical': 0.2, 'normal': 0.3, 'background': 0.5}
NET = {
    'zoo': 'resnet18', 'accuracy': 0.76,
    'exits': [{'unit': 3, 'accuracy': 0.55}, {'unit': 5, 'accuracy': 0.68}],
}  # fmt: skip
ACCURACIES = {3: 0.55, 5: 0.68, 8: 0.76}


@cache
def run_at(load: float, arrival: str, exits: bool = True, seed: int = 1) -> Run:
    """Simulate 8 s at a load, of which half is background work."""
    homes = zip(SHARES, ('a', 'b', 'a'), strict=True)
    sources = {
        name: source_of(
            home, 'net', name, load / 0.016 * SHARES[name], arrival=arrival, topic=name
        )
        for name, home in homes
    }
    workers = {'a': {'ms_per_gflop': 8}, 'b': {'ms_per_gflop': 8}}
    fleet = fleet_of(
        workers, sources, models={'net': NET}, priority_classes=CLASSES,
        objective={'accuracy_gain': 20_000},
    )  # fmt: skip
    run = simulate(
        Setup(
            fleet=fleet, tables={'net': TABLE}, policy='pa_mdi_plus', seed=seed, seconds=8.0,
            parameters=PolicyParameters(exits=exits),
        ),
        watched=True,
    )  # fmt: skip
    assert (run.unfinished, run.left, run.violations) == ([], [], [])
    return run


def worth(run: Run) -> float:
    """Mean of α·A − γ·delay over the items; one that was dropped has A = 0."""
    fleet, total = run.setup.fleet, 0.0
    for end in run.ends:
        weight = fleet.priority_class(fleet.sources[end.source].priority).weight
        accuracy = ACCURACIES[end.exit_unit] if end.status is Status.RESULT else 0.0
        total += fleet.accuracy_gain * accuracy - weight * end.latency_s
    return total / len(run.ends)


def sources_of(run: Run) -> Mapping[str, SourceMeasures]:
    return measure(run).sources


def test_below_its_capacity_a_fleet_gives_up_no_accuracy() -> None:
    run = run_at(0.6, 'periodic')
    assert {end.exit_unit for end in run.ends} == {8}
    assert all(source.early == 0 for source in sources_of(run).values())


def test_in_overload_the_lowest_class_leaves_early_before_anything_is_dropped() -> None:
    with_exits, without = run_at(1.2, 'periodic'), run_at(1.2, 'periodic', exits=False)
    found = sources_of(with_exits)
    assert all(not source.dropped for source in found.values())
    assert (found['critical'].early, found['normal'].early) == (0, 0)
    assert found['background'].early is not None
    assert found['background'].early > 0.3 * found['background'].results
    assert sum(sources_of(without)['background'].dropped.values()) > 0.1 * sum(
        source.accepted for source in found.values()
    )
    assert worth(with_exits) > 1.05 * worth(without)


@pytest.mark.parametrize('seed', [1, 2])
def test_random_arrivals_in_overload_cost_the_top_class_no_accuracy(seed: int) -> None:
    with_exits, without = (run_at(1.2, 'poisson', exits, seed) for exits in (True, False))
    found, plain = sources_of(with_exits), sources_of(without)
    assert not found['critical'].dropped
    assert found['critical'].accuracy is not None
    assert found['critical'].accuracy > 0.75
    assert found['critical'].delays is not None
    assert plain['critical'].delays is not None
    assert found['critical'].delays.mean_s <= 1.05 * plain['critical'].delays.mean_s
    lost, lost_plain = (
        sum(sum(source.dropped.values()) for source in run.values()) for run in (found, plain)
    )
    assert lost < 0.3 * lost_plain
    assert worth(with_exits) > worth(without)


def test_the_summary_tells_of_exits_where_a_model_has_them() -> None:
    run = run_at(1.2, 'periodic')
    background = summary([measure(run)])['sources']['background']
    early = sum(end.exit_unit < 8 for end in run.ends if end.source == 'background')
    assert background['early_exits'] == pytest.approx(early / background['results'], abs=1e-4)
    assert 0.55 < background['accuracy'] < 0.76
