# SPDX-License-Identifier: Apache-2.0
"""Urgent tasks that wait for lower ones longer than for a unit are counted."""

from __future__ import annotations

from pamdi_ros.worker import UnitResult, WorkerMachine
import pytest
from worker.cases import free_plan, item, make_fleet, started

#: At a, whose units of 20 ms are longer than the quantum.
UNIT_S = 0.02
CAMERA, LOG = 'camera', 'log'


def worker_under(policy: str) -> WorkerMachine:
    """Return worker a, alone with the model, under a policy."""
    return started('a', make_fleet(), free_plan(holders=('a',), policy=policy))


def arrive(worker: WorkerMachine, source: str, now: float) -> None:
    """Let an item of this home arrive."""
    worker.item_arrived(item(worker, source, now), now)


def run_unit(worker: WorkerMachine, began_s: float, took_s: float) -> str:
    """Compute the unit that is next, and tell whose it was."""
    work, _ = worker.next_compute(began_s)
    assert work is not None
    if (work.execution.task.key.source, work.first) == (LOG, 0):
        arrive(worker, CAMERA, began_s + 0.001)  # in the middle of the lower one's first unit
    outcome = UnitResult(payload=(), payload_bytes=10, compute_s=took_s)
    worker.unit_done(work, outcome, began_s + took_s)
    return work.execution.task.key.source


@pytest.mark.parametrize(
    ('policy', 'inversions'), [('pa_mdi_plus', 0), ('pa_mdi', 1), ('ms_mdi_plus', 1)]
)
def test_a_task_that_waits_for_more_than_a_unit_counts_once(policy: str, inversions: int) -> None:
    worker = worker_under(policy)
    arrive(worker, LOG, 0.0)
    served = [run_unit(worker, UNIT_S * number, UNIT_S) for number in range(3)]
    # Without preemption an execution, here of two units, is finished first.
    assert served == ['log', 'log' if inversions else 'camera', 'camera']
    assert worker.activity().inversions == inversions


@pytest.mark.parametrize(('took_s', 'inversions'), [(1.4 * UNIT_S, 0), (1.7 * UNIT_S, 1)])
def test_a_unit_that_lasts_far_longer_than_expected_counts(took_s: float, inversions: int) -> None:
    worker = worker_under('pa_mdi_plus')
    arrive(worker, LOG, 0.0)
    assert run_unit(worker, 0.0, took_s) == 'log'
    assert run_unit(worker, took_s, UNIT_S) == 'camera'
    assert worker.activity().inversions == inversions


def test_urgent_tasks_that_wait_for_each_other_are_no_inversion() -> None:
    worker = worker_under('pa_mdi')
    for number in range(2):
        arrive(worker, CAMERA, 0.001 * number)
    assert [run_unit(worker, UNIT_S * n, UNIT_S) for n in range(4)] == ['camera'] * 4
    assert worker.activity().inversions == 0


def test_what_is_computed_is_told() -> None:
    worker = worker_under('pa_mdi_plus')
    assert worker.activity().item is None
    arrive(worker, LOG, 0.0)
    worker.next_compute(0.0)
    doing = worker.activity()
    assert doing.item is not None and doing.item.source == 'log'
    assert doing.unit == 0


def test_measured_units_are_held_against_the_declared_ones() -> None:
    worker = worker_under('pa_mdi_plus')
    assert worker.activity().unit_drift == 0.0
    arrive(worker, CAMERA, 0.0)
    run_unit(worker, 0.0, 2 * UNIT_S)
    assert worker.activity().unit_drift == pytest.approx(2.0)
