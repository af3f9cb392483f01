# SPDX-License-Identifier: Apache-2.0
"""Items that end without an answer, by reason, and what each reason asks for."""

from __future__ import annotations

from collections.abc import Sequence

from pamdi_ros.monitor.checks.growth import grown
from pamdi_ros.monitor.checks.limits import Limits
from pamdi_ros.monitor.checks.sign import Check, share, Sign, Views
from pamdi_ros.monitor.view import Level, SourceView

REMEDIES = {
    'queue_full': 'lower its rate_hz, or raise the depth of its class',
    'no_time': 'its lifespan_ms is shorter than the fleet can keep: lower rates or add a worker',
    'expired': 'the fleet is too slow for its lifespan_ms: lower rates or add a worker',
    'worker_lost': 'a worker that had them is gone: see the workers',
    'worker_stopped': 'a worker was deactivated: activate it',
    'home_lost': 'its home was restarted',
    'no_route': 'nobody holds its model: see the allocator',
    'not_held': 'nobody holds its model: see the workers',
    'no_contact': 'a peer is out of reach: see the workers',
    'model_changed': 'an assignment with another cut of its model came: it passes',
    'compute_error': "its model fails: see its home's log",
    'bad_input': "its messages cannot be read: see its home's log",
}
OTHER = "see the log of its home's executor"
#: Fewer items than this in the window are no rate.
LEAST_ENDED = 3


def look(views: Views, limits: Limits) -> list[Sign]:
    """Count what was dropped of each source in the window."""
    signs = []
    for source in views[-1].sources.values():
        runs = [one.sources[source.name] for one in views if source.name in one.sources]
        reasons = {
            reason: count
            for reason in source.drops
            if (count := grown([(run.incarnation, run.drops.get(reason, 0)) for run in runs]))
        }
        answered = grown([(run.incarnation, run.results) for run in runs])
        signs.append(_sign(source, reasons, answered, limits))
    return signs


def _sign(source: SourceView, reasons: dict[str, int], answered: int, limits: Limits) -> Sign:
    dropped = sum(reasons.values())
    ended = dropped + answered
    part = dropped / ended if ended >= LEAST_ENDED else 0.0
    told = ', '.join(f'{count} {reason}' for reason, count in _most(reasons))
    worst = _most(reasons)[0][0] if reasons else ''
    return Sign(
        subject=source.name,
        strength=part / limits.drop_share,
        figure=told or 'none',
        message=(
            f'{source.name} lost {share(part)} of its items just now ({told}): '
            f'{REMEDIES.get(worst, OTHER)}'
        ),
    )


def _most(reasons: dict[str, int]) -> Sequence[tuple[str, int]]:
    return sorted(reasons.items(), key=lambda entry: -entry[1])


CHECK = Check(name='dropped items', level=Level.WARN, look=look)
