# SPDX-License-Identifier: Apache-2.0
"""Items that end without an answer, by reason, and what each reason asks for."""

from __future__ import annotations

from pamdi_ros.monitor.checks.limits import CheckLimits
from pamdi_ros.monitor.checks.losses import Losses, losses_of
from pamdi_ros.monitor.checks.measurement import Check, Measurement, share, Views
from pamdi_ros.monitor.view import Level, SourceView


def look(views: Views, limits: CheckLimits) -> list[Measurement]:
    """Count what was dropped of each source in the window.

    An urgent source that loses everything is an error.
    """
    view = views[-1]
    urgent = view.classes[: int(limits.urgent_classes)]
    signs = []
    for source in view.sources.values():
        runs = [one.sources[source.name] for one in views if source.name in one.sources]
        losses = losses_of([(run.incarnation, run.results, run.drops) for run in runs])
        signs.append(_sign(source, losses, source.priority_class in urgent, limits))
    return signs


def _sign(source: SourceView, losses: Losses, urgent: bool, limits: CheckLimits) -> Measurement:
    part = 'all' if losses.everything else share(losses.share)
    return Measurement(
        subject=source.name,
        strength=losses.share / limits.drop_share,
        figure=losses.counts or 'none',
        message=(
            f'{source.name} lost {part} of its items just now ({losses.counts}): {losses.remedy}'
        ),
        level=losses.level(urgent) or None,
    )


CHECK = Check(name='dropped items', level=Level.WARN, look=look)
