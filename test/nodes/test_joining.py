# SPDX-License-Identifier: Apache-2.0
"""A fast worker joins a running fleet: it gets its part, and answers come sooner."""

from __future__ import annotations

from pathlib import Path

from nodes.joining import IMPROVED, Joining, SIZES_ONLY, workers_of
from nodes.running_fleet import each_ended_once
import pytest
from sweep import cases


# Under the first, workers decide where an item goes; under the other, the allocator's route does.
@pytest.mark.parametrize('policy', ['static_chain', 'pa_mdi_plus'][: cases(1)])
def test_a_worker_that_joins_is_planned_for_and_helps_the_urgent_source(
    policy: str, tmp_path: Path
) -> None:
    joining = Joining(tmp_path, policy, SIZES_ONLY)
    client = joining.client
    with joining.fleet:
        joining.until_planned_without()
        results = client.results['camera']
        assert all(workers_of(result) == {'slow'} for result in results)
        epoch = client.assignments[-1].epoch
        before_s, after_s = joining.join()
        assert after_s < IMPROVED * before_s
        assert any(workers_of(result) == {'fast'} for result in results)
        client.until(
            lambda: any(
                'fast has joined' in one.get('last planned because', '') for one in joining.said
            ),
            lambda: joining.said[-1:],
        )
        (source,) = client.assignments[-1].sources
        assert {stage.worker for stage in source.route} == {'fast'}
        if policy == 'static_chain':
            assert client.assignments[-1].epoch > epoch
        joining.cease()
        assert each_ended_once(results)
        # On a fixed route nobody steps in for a worker that a busy machine keeps from
        # heartbeating.
        allowed = {'', 'worker_lost'} if policy == 'static_chain' else {''}
        assert {result.reason.split(':')[0] for result in results} <= allowed
