# SPDX-License-Identifier: Apache-2.0
"""Excessive delay of an urgent source: far beyond its solo latency, or beyond its deadline."""

from __future__ import annotations

from collections.abc import Sequence

from pamdi_ros.monitor.checks.growth import grown
from pamdi_ros.monitor.checks.limits import CheckLimits
from pamdi_ros.monitor.checks.measurement import Check, Measurement, milliseconds, share, Views
from pamdi_ros.monitor.checks.presence import told
from pamdi_ros.monitor.view import Level, SourceView

REMEDY = (
    'lower the rate or the class of less urgent sources, or add a worker '
    '(pamdi plan shows what binds and what to buy)'
)
#: The first items of a run, slower than all others, are most of a p95 until so many have come.
LEAST_RESULTS = 20
#: Fewer items than this in the window are no share.
LEAST_ENDED = 3


def look(views: Views, limits: CheckLimits) -> list[Measurement]:
    """See which urgent sources are late."""
    view = views[-1]
    urgent = view.classes[: int(limits.urgent_classes)]
    signs = []
    for source in view.sources.values():
        if source.priority_class in urgent and told(source, view):
            runs = [one.sources[source.name] for one in views if source.name in one.sources]
            signs += [_inflated(source, limits), _missed(runs, limits)]
    return signs


def _inflated(source: SourceView, limits: CheckLimits) -> Measurement:
    """Hold the p95 against the solo latency; a few milliseconds more are no delay."""
    strength = source.inflation / limits.delay_factor
    if limits.delay_least_s > 0:
        excess_s = source.latency_p95_s - source.solo_s
        strength = min(strength, excess_s / limits.delay_least_s)
    p95, solo = milliseconds(source.latency_p95_s), milliseconds(source.solo_s)
    figure = f'{p95}, {source.inflation:.1f} x its solo {solo}' if source.inflation else 'unknown'
    return Measurement(
        subject=f'{source.name} p95',
        strength=strength if source.results >= LEAST_RESULTS else 0.0,
        figure=figure,
        message=f"{source.name}'s p95 is {figure}; {REMEDY}",
    )


def _missed(runs: Sequence[SourceView], limits: CheckLimits) -> Measurement:
    """Count results after the deadline, and items without any result.

    :param runs: the source in the views of the last seconds.
    """
    source = runs[-1]
    answered = grown([(run.incarnation, run.results) for run in runs])
    dropped = grown([(run.incarnation, sum(run.drops.values())) for run in runs])
    ended = answered + dropped
    part = (source.late_share * answered + dropped) / ended if ended >= LEAST_ENDED else 0.0
    aim = f'deadline of {milliseconds(source.deadline_s)}' if source.deadline_s else 'end'
    return Measurement(
        subject=f'{source.name} deadline',
        strength=part / limits.missed_share,
        figure=f'{share(part)} late or dropped',
        message=f"{share(part)} of {source.name}'s items miss their {aim}; {REMEDY}",
    )


CHECK = Check(name='delay of urgent sources', level=Level.WARN, look=look)
