# SPDX-License-Identifier: Apache-2.0
"""Where the run-time policy pa_mdi_plus sends tasks, many decided at once.

The rule is that of `worker/routing/policies/pa_mdi_plus.py` and `worker/routing/handshake.py`,
over what a worker knows: its own queues as they are, its peers' by their last heartbeats, and by
their clearances (RTC) where they are asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pamdi_ros.allocation.options import Bools, Floats, Ints, Options
from pamdi_ros.fleet import PolicyParameters

#: Less than this is no work: rounding [s].
ROUNDING_S = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class View:
    """What is to be seen for tasks to be decided about.

    :param told_s: work of each class by what is known unasked, shape (tasks, choices, classes).
    :param asked_s: by what peers answer, likewise.
    :param typical_s: service time of one item of each class there, likewise.
    :param wire_s: work of each class at the task's own interface, shape (tasks, classes).
    :param piece_s: time on the wire of one item of each class, likewise.
    :param slowdown: of its link, as measured, shape (tasks,).
    """

    told_s: Floats
    asked_s: Floats
    typical_s: Floats
    wire_s: Floats
    piece_s: Floats
    slowdown: Floats


def decide(
    options: Options,
    parameters: PolicyParameters,
    weights: Floats,
    stage: Ints,
    view: View,
    rng: np.random.Generator,
) -> Ints:
    """Give the number of the choice that each task takes, shape (tasks,).

    :param weights: γ of each class.
    :param stage: of each task, shape (tasks,).
    """
    tasks = np.arange(len(stage))
    away = options.away[stage]
    ahead = np.arange(len(weights)) <= options.rank[stage][:, None]  # (tasks, classes)
    behind = ~ahead * weights / options.weight[stage][:, None]
    sending_s = options.wire_s[stage]
    before_s = (view.wire_s * ahead).sum(axis=1)[:, None]
    way_s = away * ((before_s + sending_s) * view.slowdown[:, None] + options.latency_s[stage])
    price_s = options.price_s[stage]
    if parameters.externality:
        pushed = (np.ceil(view.wire_s / view.piece_s - ROUNDING_S) * behind).sum(axis=1)
        price_s = price_s + away * sending_s * pushed[:, None]
    service_s = options.service_s[stage]

    def costs(work_s: Floats) -> tuple[Floats, Floats]:
        wait_s = np.einsum('tkc,tc->tk', work_s, ahead)
        cost_s = np.maximum(way_s, wait_s) + price_s
        if parameters.externality:
            items = np.ceil(work_s / view.typical_s - ROUNDING_S)
            cost_s += service_s * np.minimum(np.einsum('tkc,tc->tk', items, behind), 1.0)
        return cost_s, wait_s

    told_s, wait_s = costs(view.told_s)
    best: Ints = told_s.argmin(axis=1)
    asking = np.flatnonzero(options.asks[stage] & away[tasks, best])
    if not len(asking):
        return best
    home = (~away & np.isfinite(price_s)).argmax(axis=1)
    at_home = ~away[tasks, home]
    home_wait_s = np.where(at_home, wait_s[tasks, home], 0.0)
    asked_s, _ = costs(view.asked_s)
    missed = options.missed[stage]
    if missed.any():
        unknown = _unknown(away, missed, home_wait_s, parameters, rng)
        unknown[unknown.sum(axis=1) >= np.isfinite(price_s).sum(axis=1)] = False
        asked_s = np.where(unknown, np.inf, asked_s)
    best[asking] = asked_s[asking].argmin(axis=1)
    # While peers are asked, the item may begin here; then it goes only for a clear gain.
    here_s, there_s = told_s[tasks, home], told_s.min(axis=1)
    clear = (there_s < (1 - parameters.hysteresis) * here_s) & (
        here_s - there_s >= parameters.least_gain_s
    )
    stays = asking[(at_home & (home_wait_s <= ROUNDING_S) & ~clear)[asking]]
    best[stays] = home[stays]
    return best


def _unknown(
    away: Bools,
    missed: Floats,
    wait_s: Floats,
    parameters: PolicyParameters,
    rng: np.random.Generator,
) -> Bools:
    """Peers that are not asked; a task that waits for longer asks others later."""
    times = 1 + wait_s / parameters.reconsider_period_s
    unknown: Bools = away & (rng.random(away.shape) < (missed**times)[:, None])
    return unknown
