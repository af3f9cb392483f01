# SPDX-License-Identifier: Apache-2.0
"""The figures of the experiment ``baselines``: reduction and delay over load, a panel a fleet."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from pamdi_ros.experiments.cells import all_settled, delay_ms, Measured, reduction
from pamdi_ros.experiments.style import (
    GREY,
    leftmost,
    legend,
    logarithmic,
    OURS,
    panels,
    PAPER_REDUCTION,
    points,
    policy_entry,
    STYLES,
)

Outcome = Mapping[tuple[str, float], Mapping[str, Measured]]

#: Markers of several policies at one load stand beside one another, not on top [load].
BESIDE = 0.008


def reductions_figure(outcome: Outcome, urgent: str) -> Figure:
    """Draw how much less the delay is against each baseline, over the load."""
    names, policies = _levels(outcome)
    others = [policy for policy in policies if policy != OURS]
    figure, axes = panels(names, columns=2, height_in=2.7, sharey=True)
    figure.suptitle('Urgent source: mean delay under pa_mdi_plus against the others', fontsize=12)
    for name, panel in axes.items():
        loads = [load for fleet, load in outcome if fleet == name]
        for place, policy in enumerate(others):
            values = [
                reduction(outcome[name, load][OURS], outcome[name, load][policy], urgent)
                for load in loads
            ]
            shift = (place - (len(others) - 1) / 2) * BESIDE
            points(panel, [load + shift for load in loads], values, STYLES[policy], lw=1)
        panel.axhline(PAPER_REDUCTION, color=GREY, ls='--', lw=1)
        panel.axhline(0, color='black', lw=0.8)
        panel.set_xticks(loads, [f'{100 * load:g}' for load in loads])
        panel.set_xlim(min(loads) - 0.08, max(loads) + 0.08)
        panel.set_xlabel('load of the fleet [%]', fontsize=9)
        if leftmost(panel):
            panel.set_ylabel('reduction [%]', fontsize=9)
    low = min(panel.dataLim.y0 for panel in axes.values())
    next(iter(axes.values())).set_ylim(min(-5.0, max(low - 5, -100)), 102)
    paper = Line2D(
        [], [], color=GREY, ls='--', lw=1, label=f'PA-MDI’s authors: {PAPER_REDUCTION} %'
    )
    legend(figure, [*map(policy_entry, others), paper], columns=4)
    return figure


def delays_figure(outcome: Outcome, urgent: str) -> Figure:
    """Draw the mean delay under each policy, over the load."""
    names, policies = _levels(outcome)
    figure, axes = panels(names, columns=2, height_in=2.7)
    figure.suptitle('Urgent source: mean delay over load', fontsize=12)
    for name, panel in axes.items():
        loads = [load for fleet, load in outcome if fleet == name]
        for place, policy in enumerate(policies):
            found = [outcome[name, load][policy] for load in loads]
            shift = (place - (len(policies) - 1) / 2) * BESIDE
            points(
                panel, [load + shift for load in loads], [delay_ms(one, urgent) for one in found],
                STYLES[policy], lw=2.2 if policy == OURS else 1,
                settled=[all_settled(one) for one in found],
            )  # fmt: skip
        solo = outcome[name, loads[0]][OURS].runs[0].sources[urgent].solo_s
        if solo is not None:
            panel.axhline(1e3 * solo, color=GREY, ls='--', lw=1)
        logarithmic(panel, 'y')
        panel.set_xticks(loads, [f'{100 * load:g}' for load in loads])
        panel.set_xlabel('load of the fleet [%]', fontsize=9)
        if leftmost(panel):
            panel.set_ylabel('mean delay [ms]', fontsize=9)
    alone = Line2D([], [], color=GREY, ls='--', lw=1, label='alone on the fleet')
    hollow = Line2D([], [], marker='o', mfc='white', color=GREY, ls='', label='not stable')
    legend(figure, [*map(policy_entry, policies), hollow, alone], columns=5)
    return figure


def _levels(outcome: Outcome) -> tuple[list[str], list[str]]:
    """Names of the fleets and of the policies."""
    names = list(dict.fromkeys(fleet for fleet, _ in outcome))
    return names, list(next(iter(outcome.values())))
