# SPDX-License-Identifier: Apache-2.0
"""From a policy's name to the policy."""

from __future__ import annotations

from pamdi_ros.fleet import POLICIES, PolicyParameters
from pamdi_ros.worker.policy import Policy
from pamdi_ros.worker.routing.policies.fixed_route import FixedRoute
from pamdi_ros.worker.routing.policies.least_completion import LeastCompletion
from pamdi_ros.worker.routing.policies.pa_mdi_plus import PaMdiPlus


def make_policy(name: str, parameters: PolicyParameters, workers: int) -> Policy:
    """Return the policy of that name.

    :param name: one of :data:`pamdi_ros.fleet.POLICIES`.
    :param parameters: constants of pa_mdi_plus.
    :param workers: workers of the fleet.
    :raises ValueError: there is no such policy.
    """
    if name in ('local', 'ar_mdi'):
        return FixedRoute(priority=False)
    if name == 'static_chain':
        return FixedRoute(priority=True)
    if name == 'ms_mdi':
        return LeastCompletion(parts=workers, look_ahead=False, priority=False)
    if name == 'ms_mdi_plus':
        return LeastCompletion(parts=workers, look_ahead=True, priority=False)
    if name == 'pa_mdi':
        return LeastCompletion(parts=workers, look_ahead=True, priority=True)
    if name == 'pa_mdi_plus':
        return PaMdiPlus(parameters=parameters)
    raise ValueError(f'there is no policy {name!r}; choose one of {", ".join(POLICIES)}')
