# SPDX-License-Identifier: Apache-2.0
"""The numbers of a run, from what was counted."""

from __future__ import annotations

from collections import Counter

from pamdi_ros.cli.summary import answered_share, explain_missing, summarise
from pamdi_ros.fleet import parse_fleet
from pamdi_ros.monitor.run_tally import RunTally, SourceTally
from pamdi_ros.msg import InferenceResult, SourceStats
import pytest


def result(seq: int, latency_s: float, incarnation: int = 1) -> tuple[float, InferenceResult]:
    """Return an answered item as the tally keeps it."""
    return 0.0, InferenceResult(seq=seq, latency_s=latency_s, incarnation=incarnation)


def stats(incarnation: int, accepted: int, results: int, **dropped: int) -> SourceStats:
    """Return a home's statistics."""
    return SourceStats(
        source='camera',
        incarnation=incarnation,
        accepted=accepted,
        results=results,
        in_flight=accepted - results - sum(dropped.values()),
        drop_reasons=list(dropped),
        drop_counts=list(dropped.values()),
    )


@pytest.fixture
def view() -> SourceTally:
    """Three solo items at 10 ms, then 20 and 40 ms."""
    seen = SourceTally()
    seen.results.extend(result(seq, 0.010) for seq in (1, 2, 3))
    seen.results.extend([result(4, 0.020), result(5, 0.040)])
    seen.stats = stats(1, 6, 5, queue_full=1)
    seen.runs[1] = seen.stats
    return seen


def summary_of(view: SourceTally, emulate: bool = False) -> dict[str, dict[str, object]]:
    """Summarise one source."""
    worker = {'ms_per_gflop': 5, 'emulate': True} if emulate else {}
    fleet = parse_fleet(
        {
            'fleet': 'test', 'priority_classes': {'normal': {'weight': 1}},
            'models': {'net': {'zoo': 'resnet18'}}, 'workers': {'a': worker},
            'sources': {
                'camera': {
                    'worker': 'a', 'topic': 'i', 'type': 'sensor_msgs/msg/Image',
                    'model': 'net', 'priority': 'normal',
                },
            },
        }
    )  # fmt: skip
    tally = RunTally('/test', fleet)
    tally.sources['camera'] = view
    return summarise(fleet, tally, solo_items=3)


def test_solo_items_stay_out_of_the_loaded_latencies(view: SourceTally) -> None:
    summary = summary_of(view)
    source = summary['sources']['camera']
    assert (source['accepted'], source['results'], source['dropped']) == (6, 5, {'queue_full': 1})
    assert (source['solo_ms'], source['mean_ms'], source['p50_ms']) == (10.0, 30.0, 30.0)
    assert summary['workers'] == {'a': {'heard': False}}
    assert summary['emulated'] is False
    assert answered_share(summary) == pytest.approx(5 / 6)
    (sentence,) = explain_missing(summary)
    assert sentence == (
        'camera: 5 of 6 items answered; 1 queue_full: '
        'lower its rate_hz, or raise the depth of its class'
    )


def test_who_is_missing_is_told_with_what_to_do(view: SourceTally) -> None:
    view.runs[1] = view.stats = stats(1, 9, 5, queue_full=1, worker_lost=3)
    reason = 'worker_lost: b, which is to hold unit 5 of net, has not been heard for 3.1 s'
    view.results.append((0.0, InferenceResult(seq=9, status=3, reason=reason, incarnation=1)))
    (sentence,) = explain_missing(summary_of(view))
    assert sentence.startswith(
        'camera: 5 of 9 items answered; 3 worker_lost, 1 queue_full (b, which is to hold unit 5 '
        'of net, has not been heard for 3.1 s): a worker that holds its model is gone'
    )


def test_a_home_that_came_back_loses_no_counts_and_sends_no_solo_items(view: SourceTally) -> None:
    view.runs[1] = stats(1, 8, 5, queue_full=1)  # died with two in flight
    view.stats = view.runs[2] = stats(2, 2, 2)
    view.results.extend([result(1, 0.060, 2), result(2, 0.080, 2)])
    source = summary_of(view)['sources']['camera']
    assert (source['accepted'], source['results'], source['in_flight']) == (10, 7, 0)
    assert source['dropped'] == {'queue_full': 1, 'home_lost': 2}
    assert (source['solo_ms'], source['mean_ms']) == (10.0, 50.0)


def test_what_the_last_statistics_of_a_dead_run_lack_its_results_tell(view: SourceTally) -> None:
    view.runs[1] = stats(1, 8, 5, queue_full=1)
    view.ends[1] = Counter({'': 7, 'queue_full': 1, 'home_lost': 2})
    view.stats = view.runs[2] = stats(2, 2, 2)
    source = summary_of(view)['sources']['camera']
    assert (source['accepted'], source['results']) == (12, 9)
    assert source['dropped'] == {'queue_full': 1, 'home_lost': 2}


def test_results_after_their_deadline_are_counted_apart(view: SourceTally) -> None:
    view.stats.late = 2
    source = summary_of(view)['sources']['camera']
    assert (source['results'], source['late']) == (5, 2)


def test_emulated_devices_are_told() -> None:
    assert summary_of(SourceTally(), emulate=True)['emulated'] is True
