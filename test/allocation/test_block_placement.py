# SPDX-License-Identifier: Apache-2.0
"""Memory by bit masks: the same as HeldMemory counts it, whatever is held and shared."""

from __future__ import annotations

import random

from allocation.random_fleets import random_problem
import numpy as np
from pamdi_ros.allocation.memory import HeldMemory
from pamdi_ros.allocation.optimizer.block_placement import Space
import pytest
from sweep import seeds


@pytest.mark.parametrize('seed', seeds(8))
def test_space_counts_as_holdings_do(seed: int) -> None:
    problem = random_problem(seed, scarce=True)
    space, holdings = Space(problem), HeldMemory(problem.costs)
    rng = random.Random(seed)
    for _ in range(8):
        worker = rng.randrange(len(problem.workers))
        name = problem.workers[worker]
        model = rng.choice(list(problem.models))
        blocks = problem.models[model]
        first = rng.randrange(len(blocks))
        last = rng.randint(first + 1, len(blocks))
        mask = (1 << last) - (1 << first)
        fits = holdings.has_room(name, model, first, last)
        assert space.fits(worker, model, mask) == fits
        extra, room = space.room(model)
        assert bool(room[worker, first, last]) == fits
        assert extra[worker, first, last] == pytest.approx(
            blocks.weight_bytes(space.masks[worker].get(model, 0) | mask)
            - blocks.weight_bytes(space.masks[worker].get(model, 0))
        )
        assert np.isinf(extra[worker, first, first])
        if fits:
            space.hold(worker, model, mask)
            holdings.hold(name, model, first, last)
            assert space.free_bytes(worker) == pytest.approx(holdings.free_bytes(name))
    assert {w: sorted(p) for w, p in space.placement().items()} == {
        w: sorted(p) for w, p in holdings.placement().items()
    }
