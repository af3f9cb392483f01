# SPDX-License-Identifier: Apache-2.0
"""How fast each worker runs each model: measured, else what that and its like tell.

A worker's speed depends on the model: small layers, or a model that does not fit into a cache,
cost more per FLOP. What was never measured must not look better than what was for no reason, or
every plan would go where nobody has been yet, and come back. So (ours), in this order:

- a worker that declares its speed: what its other models take, else the declared one;
- one that does not, with other models measured: what is typical for the model, times what its
  other models take beside the typical;
- one that does not, with nothing measured: what is typical for the model, else for any;
- where nobody's undeclared speed is measured: the assumption.

Typical is the geometric mean over the workers that declare no speed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import math
from statistics import fmean

from pamdi_ros.allocation.replanning.estimate import Estimate, USUAL_SPREAD
from pamdi_ros.fleet import Fleet

#: Worker and model.
Pair = tuple[str, str]


def speeds_of(
    fleet: Fleet, models: Iterable[str], measured: Mapping[Pair, Estimate]
) -> dict[Pair, Estimate]:
    """Return the time of a FLOP by worker and model [s/FLOP].

    :param fleet: as declared.
    :param models: that are in use.
    :param measured: time of a FLOP as far as it was measured; names that the fleet does not have
        are passed over.
    """
    logs: dict[str, dict[str, float]] = {name: {} for name in fleet.workers}
    for (name, model), speed in measured.items():
        if name in logs:
            logs[name][model] = math.log(speed.value)
    typical = _typical(fleet, logs)
    found: dict[Pair, Estimate] = {}
    for model in models:
        for name, worker in fleet.workers.items():
            known, own = measured.get((name, model)), logs[name]
            if known is not None:
                found[name, model] = known
                continue
            s_per_flop = worker.expected_seconds_per_flop
            if worker.seconds_per_flop is None and typical:
                level = typical.get(model, fmean(typical.values()))
                if own and model in typical:
                    level += fmean(log - typical[other] for other, log in own.items())
                elif own:
                    level = fmean(own.values())
                s_per_flop = math.exp(level)
            elif own:  # then the speed is declared
                s_per_flop = math.exp(fmean(own.values()))
            found[name, model] = Estimate(s_per_flop, USUAL_SPREAD)
    return found


def _typical(fleet: Fleet, logs: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of the logarithms over workers that declare no speed, by model."""
    by_model: dict[str, list[float]] = {}
    for name, own in logs.items():
        if fleet.workers[name].seconds_per_flop is None:
            for model, log in own.items():
                by_model.setdefault(model, []).append(log)
    return {model: fmean(found) for model, found in by_model.items()}
