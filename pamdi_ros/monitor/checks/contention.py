# SPDX-License-Identifier: Apache-2.0
"""Resource contention that costs speed or accuracy: slow units, heat, a low clock, early exits."""

from __future__ import annotations

from pamdi_ros.monitor.checks.limits import CheckLimits
from pamdi_ros.monitor.checks.measurement import Check, Measurement, share, Views
from pamdi_ros.monitor.checks.presence import heard, told
from pamdi_ros.monitor.view import Level, SourceView, WorkerView

#: A processor that idles saves power: its clock says something from this busy share on.
BUSY = 0.5
#: Below this nothing is computed, and what was measured once says nothing of now.
IDLE = 0.01


def look(views: Views, limits: CheckLimits) -> list[Measurement]:
    """See which workers are slower than they should be, and which answers less accurate."""
    view = views[-1]
    signs = []
    for worker in view.workers.values():
        if heard(worker, view.now_s):
            signs += [_slow(worker, limits), _hot(worker, limits), _throttled(worker, limits)]
    signs += [_early(source, limits) for source in view.sources.values() if told(source, view)]
    return signs


def _slow(worker: WorkerView, limits: CheckLimits) -> Measurement:
    figure = f'{worker.unit_drift:.2f} x their declared time'
    return Measurement(
        subject=f'{worker.name} units',
        strength=worker.unit_drift / limits.unit_drift if worker.busy > IDLE else 0.0,
        figure=figure if worker.unit_drift else 'none measured',
        message=(
            f"{worker.name}'s units take {figure}: what else runs there, which power mode? If "
            'nothing, measure anew (pamdi profile) and correct ms_per_gflop'
        ),
    )


def _hot(worker: WorkerView, limits: CheckLimits) -> Measurement:
    figure = f'{worker.temperature_c:.0f} deg C'
    return Measurement(
        subject=f'{worker.name} temperature',
        strength=worker.temperature_c / limits.temperature_c,
        figure=figure if worker.temperature_c else 'unknown',
        message=f'{worker.name} has {figure} and will slow down: cool it, or give it less to do',
    )


def _throttled(worker: WorkerView, limits: CheckLimits) -> Measurement:
    on_gpu = worker.device.startswith('cuda')  # then the processor may well idle
    known = worker.clock_share > 0 and worker.busy >= BUSY and not (worker.emulated or on_gpu)
    figure = f'{share(worker.clock_share)} of its highest clock'
    return Measurement(
        subject=f'{worker.name} clock',
        strength=limits.clock_share / worker.clock_share if known else 0.0,
        figure=figure if worker.clock_share else 'unknown',
        message=f'{worker.name} runs at {figure} though busy: see to heat, power mode, governor',
    )


def _early(source: SourceView, limits: CheckLimits) -> Measurement:
    figure = share(source.early_share)
    accuracy = f', accuracy {source.accuracy:.2f}' if source.accuracy else ''
    return Measurement(
        subject=f'{source.name} accuracy',
        strength=source.early_share / limits.early_share,
        figure=f'{figure} leave early{accuracy}',
        message=(
            f"{figure} of {source.name}'s results leave by early exits{accuracy}: accuracy is "
            'given up for time; lower rates, add a worker, or raise accuracy_gain'
        ),
    )


CHECK = Check(name='resource contention', level=Level.WARN, look=look)
