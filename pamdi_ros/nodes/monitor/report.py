# SPDX-License-Identifier: Apache-2.0
"""What the monitor says on /diagnostics: checks, links, and who is silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from pamdi_ros.monitor.check_runner import CheckOutcome
from pamdi_ros.monitor.checks.links import IN_USE, link_name, SLOW_REMEDY
from pamdi_ros.monitor.checks.presence import heard, Silent
from pamdi_ros.monitor.view import FleetView, Level, LinkView

#: Time on the wire over the declared from which on a link is told to be slow now.
SLOWER = 1.5
LEVELS = {
    Level.OK: DiagnosticStatus.OK,
    Level.WARN: DiagnosticStatus.WARN,
    Level.ERROR: DiagnosticStatus.ERROR,
    Level.STALE: DiagnosticStatus.STALE,
}


def monitor_diagnostics(
    stamp: Time,
    prefix: str,
    view: FleetView,
    findings: Sequence[CheckOutcome],
    silent: Sequence[Silent],
    most_links: int,
) -> DiagnosticArray:
    """Return one status for each check, each link in use and everybody who is silent.

    :param prefix: absolute namespace of the fleet.
    :param most_links: the busiest so many are told, and those that are amiss.
    """
    array = DiagnosticArray()
    array.header.stamp = stamp
    array.status = [
        _status(prefix, f'check {one.name}', one.level, one.message, view.name, one.figures)
        for one in findings
    ]
    array.status += [
        _status(prefix, one.name, one.level, one.message, one.hardware_id, {}) for one in silent
    ]
    amiss = {subject for one in findings for subject in one.raised}
    array.status += [_link_status(prefix, link, amiss) for link in _links(view, amiss, most_links)]
    return array


def _links(view: FleetView, amiss: set[str], most: int) -> list[LinkView]:
    links = [
        link
        for worker in view.workers.values()
        if heard(worker, view.now_s)
        for link in worker.links
    ]
    links.sort(key=lambda link: (link_name(link.sender, link.receiver) not in amiss, -link.busy))
    return links[:most]


def _link_status(prefix: str, link: LinkView, amiss: set[str]) -> DiagnosticStatus:
    name = link_name(link.sender, link.receiver)
    slow = name in amiss
    told = f'{100 * link.busy:.0f} % busy' if link.busy > IN_USE else 'idle'
    if slow and link.slowdown >= SLOWER:
        told = f'{link.slowdown:.1f} x its declared time on the wire: {SLOW_REMEDY}'
    elif slow:  # raised, and not yet over for check_clear_s
        told = f'was slower than declared, now {link.slowdown:.1f} x its declared time on the wire'
    figures = {
        'busy [%]': f'{100 * link.busy:.1f}',
        'rate [MB/s]': f'{link.rate / 1e6:.3f}',
        'time on the wire, measured over declared [1]': f'{link.slowdown:.2f}',
    }
    level = Level.WARN if slow else Level.OK
    return _status(prefix, f'link {name}', level, told, link.sender, figures)


def _status(
    prefix: str, name: str, level: Level, message: str, hardware_id: str, values: Mapping[str, str]
) -> DiagnosticStatus:
    return DiagnosticStatus(
        name=f'{prefix}: {name}',
        hardware_id=hardware_id,
        level=LEVELS[level],
        message=message,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
