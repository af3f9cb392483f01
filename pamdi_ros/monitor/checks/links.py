# SPDX-License-Identifier: Apache-2.0
"""Communication bottleneck: an interface that is busy, or a link far slower than declared."""

from __future__ import annotations

from pamdi_ros.monitor.checks.limits import CheckLimits
from pamdi_ros.monitor.checks.measurement import Check, Measurement, share, Views
from pamdi_ros.monitor.checks.presence import heard
from pamdi_ros.monitor.view import Level, LinkView, WorkerView

#: A link less busy than this is not in use: what was measured once says nothing of now.
IN_USE = 0.01
SLOW_REMEDY = (
    'who else uses it, is the radio weak, are its hosts too busy? If it stays so, correct '
    'bandwidth_mbps in the fleet file'
)


def look(views: Views, limits: CheckLimits) -> list[Measurement]:
    """See which workers' interfaces are busy, and which links in use are slow."""
    view = views[-1]
    signs = []
    for worker in view.workers.values():
        if heard(worker, view.now_s) and worker.links:
            signs.append(_interface(worker, limits))
            signs += [_link(link, limits) for link in worker.links]
    return signs


def link_name(sender: str, receiver: str) -> str:
    """Return what a link is called."""
    return f'{sender} to {receiver}'


def _interface(worker: WorkerView, limits: CheckLimits) -> Measurement:
    """Add up what a worker sends: all of it passes one interface."""
    busy = sum(link.busy for link in worker.links)
    most = max(worker.links, key=lambda link: link.busy)
    figure = f'{share(min(busy, 1.0))} busy, {worker.rate_out / 1e6:.1f} MB/s'
    return Measurement(
        subject=f'{worker.name} sends',
        strength=busy / limits.link_busy,
        figure=figure,
        message=(
            f'what {worker.name} sends keeps its links {figure}, most to {most.receiver}: take a '
            'faster link, lower rates, or memory for whole models where they are used (pamdi plan)'
        ),
    )


def _link(link: LinkView, limits: CheckLimits) -> Measurement:
    name = link_name(link.sender, link.receiver)
    told = f'{link.slowdown:.1f} x its declared time'
    return Measurement(
        subject=name,
        strength=link.slowdown / limits.link_slowdown if link.busy > IN_USE else 0.0,
        figure=f'{told}, {share(link.busy)} busy, {link.rate / 1e6:.2f} MB/s',
        message=(f'{name} takes {told} on the wire: {SLOW_REMEDY}'),
    )


CHECK = Check(name='communication bottleneck', level=Level.WARN, look=look)
