# SPDX-License-Identifier: Apache-2.0
"""What is counted of a run: everything that is said, of every run of a home."""

from __future__ import annotations

from collections import Counter
from typing import Any

from monitor.messages import diagnostic, diagnostics, message
from pamdi_ros.fleet import load_fleet
from pamdi_ros.fleet.resources import config_path
from pamdi_ros.monitor.run_tally import RunTally
import pytest

FLEET = load_fleet(config_path('demo.yaml'))
PREFIX = f'/{FLEET.name}'
WORKER, SOURCE = next(iter(FLEET.workers)), next(iter(FLEET.sources))
UNCONFIGURED, LOADING, SERVING, DEGRADED = range(4)


def status(worker: str = WORKER, **fields: object) -> Any:
    return message('WorkerStatus', worker=worker, **fields)


def stats(incarnation: int = 1, source: str = SOURCE, **fields: object) -> Any:
    return message('SourceStats', source=source, incarnation=incarnation, **fields)


def result(reason: str = '', incarnation: int = 1, source: str = SOURCE) -> Any:
    return message('InferenceResult', source=source, incarnation=incarnation, reason=reason)


@pytest.fixture
def tally() -> RunTally:
    return RunTally(PREFIX, FLEET)


def test_all_start_until_they_serve(tally: RunTally) -> None:
    assert tally.not_serving() == dict.fromkeys([*FLEET.workers, 'the allocator'], 'starting')
    for worker in FLEET.workers:
        tally.status(status(worker, state=SERVING), 1.0)
    assert tally.not_serving() == {}
    tally.status(status(state=LOADING, message='fetching unit 3'), 2.0)
    assert tally.not_serving() == {WORKER: 'fetching unit 3', 'the allocator': 'starting'}
    tally.status(status(state=UNCONFIGURED), 3.0)
    tally.assignment(message('Assignment', epoch=1), 3.0)
    assert tally.not_serving() == {WORKER: 'loading'}
    tally.status(status(state=DEGRADED), 4.0)
    assert tally.not_serving() == {}


def test_the_allocator_of_this_fleet_says_what_is_waited_for(tally: RunTally) -> None:
    theirs = diagnostic('/other: allocator', 1, 'waits for nobody')
    ours = diagnostic(f'{PREFIX}: allocator', 1, 'waits for weights')
    tally.diagnostics(diagnostics(theirs, ours), 1.0)
    tally.diagnostics(diagnostics(theirs), 2.0)
    assert tally.not_serving()['the allocator'] == 'waits for weights'


def test_every_run_of_a_home_is_counted_apart(tally: RunTally) -> None:
    tally.stats(stats(1, in_flight=4, accepted=9), 1.0)
    tally.stats(stats(2, in_flight=3, accepted=5), 2.0)
    source = tally.sources[SOURCE]
    assert {run: one.accepted for run, one in source.runs.items()} == {1: 9, 2: 5}
    assert source.stats.incarnation == 2
    assert tally.in_flight() == 3
    for told in (result(), result('late: by 3 s'), result('late: by 4 s'), result('', 2)):
        tally.result(told, 3.0)
    assert source.ends == {1: Counter({'': 1, 'late': 2}), 2: Counter({'': 1})}


def test_results_have_the_time_since_the_start(tally: RunTally) -> None:
    tally.started_s = 10.0
    tally.result(result(), 12.5)
    ((at_s, _),) = tally.sources[SOURCE].results
    assert at_s == 2.5


def test_shares_of_all_heartbeats_are_kept(tally: RunTally) -> None:
    for share in (0.25, 0.75):
        tally.status(status(busy_share=share), 1.0)
    assert list(tally.workers[WORKER].busy) == [0.25, 0.75]


def test_who_listens_hears_all_and_strangers_are_counted_nowhere(tally: RunTally) -> None:
    heard: list[Any] = []
    told = [
        status('stranger'), stats(source='stranger'), result(source='stranger'),
        message('Assignment', epoch=3),
    ]  # fmt: skip
    tally.status(told[0], 1.0)
    assert heard == []
    tally.on_message = heard.append
    tally.status(told[0], 1.0)
    tally.stats(told[1], 1.0)
    tally.result(told[2], 1.0)
    tally.assignment(told[3], 1.0)
    assert heard == told
    assert tally.newest_assignment is told[3]
    assert 'stranger' not in {*tally.workers, *tally.sources}
    assert tally.in_flight() == 0
