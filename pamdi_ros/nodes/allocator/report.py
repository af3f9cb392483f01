# SPDX-License-Identifier: Apache-2.0
"""How the allocator is, for /diagnostics."""

from __future__ import annotations

from collections.abc import Set
import math

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from pamdi_ros.assignment import Plan
from pamdi_ros.nodes.allocator.planning import PlanningDecision


def allocator_diagnostics(
    stamp: Time,
    prefix: str,
    plan: Plan | None,
    adopted: PlanningDecision | None,
    last: PlanningDecision | None,
    absent: Set[str],
    waiting: str = '',
    trouble: str = '',
    standing_by: str = '',
) -> DiagnosticArray:
    """Return the allocator's status.

    :param prefix: absolute namespace of the fleet.
    :param plan: the assignment in force; None: there is none yet.
    :param adopted: what came of planning it.
    :param last: what came of planning last.
    :param absent: workers that are planned without.
    :param waiting: what it waits for; empty: for nothing.
    :param trouble: what is tried again, and when; empty: nothing is.
    :param standing_by: why another allocator goes on; empty: this one does.
    """
    level, message = _judged(plan, adopted, absent)
    if plan is None:
        message = trouble or waiting or message
    if standing_by:
        level, message = DiagnosticStatus.ERROR, standing_by
    values: dict[str, object] = {
        'epoch': 'none yet' if plan is None else plan.epoch,
        'policy': 'none yet' if plan is None else plan.policy,
        'workers absent': ', '.join(sorted(absent)) or 'none',
        'tried again': trouble or 'nothing',
    }
    if adopted is not None:
        value = adopted.proposal.value
        values |= {
            'objective [weighted s/s]': f'{value.objective:.4g}',
            'weighted delay [weighted s/s]': f'{value.delay:.4g}',
            'items that can be served [%]': f'{100 * value.share:.1f}',
        }
    if last is not None:
        values |= {
            'planning time [s]': f'{last.proposal.seconds:.3f}',
            'last planned because': last.text,
        }
    status = DiagnosticStatus(
        name=f'{prefix}: allocator',
        hardware_id='allocator',
        level=level,
        message=message,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array


def _judged(
    plan: Plan | None, adopted: PlanningDecision | None, absent: Set[str]
) -> tuple[bytes, str]:
    if plan is None:
        return DiagnosticStatus.WARN, 'planning'
    if without := sorted(name for name, source in plan.sources.items() if not source.route):
        reason = plan.sources[without[0]].reason
        return DiagnosticStatus.ERROR, f'{", ".join(without)} cannot be served: {reason}'
    if adopted is not None and math.isinf(adopted.proposal.value.objective):
        share = adopted.proposal.value.share
        text = f'the fleet cannot keep up: {share:.0%} of the items can be served'
        return DiagnosticStatus.WARN, f'{text}; lower rates, or add a worker (see pamdi plan)'
    if absent:
        return DiagnosticStatus.WARN, f'planned without {", ".join(sorted(absent))}'
    return DiagnosticStatus.OK, f'assignment {plan.epoch} is in force'
