# SPDX-License-Identifier: Apache-2.0
"""Every policy that the fleet file may name exists, and is what its name says."""

from __future__ import annotations

from pamdi_ros.fleet import POLICIES, PolicyParameters
from pamdi_ros.worker.routing.policies import make_policy
import pytest


@pytest.mark.parametrize('name', POLICIES)
def test_every_named_policy_can_be_made(name: str) -> None:
    policy = make_policy(name, PolicyParameters(), 3)
    assert policy.order(1, 4.0, 2.0, 3.0) < policy.order(1, 4.0, 5.0, 6.0)


@pytest.mark.parametrize(
    ('name', 'priority', 'preemptive', 'fixed', 'asks'),
    [
        ('local', False, False, True, False),
        ('static_chain', True, False, True, False),
        ('ar_mdi', False, False, True, False),
        ('ms_mdi', False, False, False, False),
        ('ms_mdi_plus', False, False, False, False),
        ('pa_mdi', True, False, False, False),
        ('pa_mdi_plus', True, True, False, True),
    ],
)
def test_the_ingredients_of_each_policy(
    name: str, priority: bool, preemptive: bool, fixed: bool, asks: bool
) -> None:
    policy = make_policy(name, PolicyParameters(), 3)
    assert (policy.priority, policy.preemptive) == (priority, preemptive)
    assert (policy.fixed_route, policy.asks) == (fixed, asks)


def test_an_unknown_policy_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(ValueError, match=r'no policy .fifo.; choose one of local, '):
        make_policy('fifo', PolicyParameters(), 3)
