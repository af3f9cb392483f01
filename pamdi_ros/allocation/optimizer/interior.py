# SPDX-License-Identifier: Apache-2.0
"""The best shares of given columns: a primal-dual interior-point method on products of simplices.

    min Σ_p c_p f_p + Σ_k s_k Φ(b_k + Σ_p G_pk f_p)
    s.t.  Σ_{p of m} f_p = 1 for every source m,  f ≥ 0

Newton's method on the perturbed optimality conditions (Boyd and Vandenberghe, Convex
Optimization, section 11.7); Φ goes on as a parabola where a resource is all but taken, so that
every start is inside its domain.

Why no library does it: the same in cone form (ρ² ≤ w(1 − ρ) as a second-order cone for each load)
by Clarabel 0.11 has the same minimum, within the tolerance on 3000 problems, but starts from
nothing where this one starts from the shares of the round before. Plans take 1.2 to 3.7 times as
long with it (CPU, 26 fleets; docs/allocation.md): those of 50 workers with scarce memory 4.7 to
5.4 s instead of 2.4 to 3.5 s. And it would be one more package on a robot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack
from scipy.sparse import csr_matrix

Array = npt.NDArray[np.float64]

#: Above this utilisation Φ goes on as a parabola, so that an overload has a price too.
STEEP = 0.995
_SLOPE = 1 / (1 - STEEP) ** 2 - 1
_BEND = 2 / (1 - STEEP) ** 3

MOST_STEPS = 40
#: Part of the complementarity that each step aims at.
_CENTRE = 0.1
#: Part of the way to the boundary that a step may go.
_SHORT = 0.99


def steep_waiting(load: Array) -> Array:
    """Φ, with a parabola above :data:`STEEP`."""
    over = np.maximum(load - STEEP, 0.0)
    capped = np.minimum(load, STEEP)
    found: Array = capped * capped / (1 - capped) + over * (_SLOPE + 0.5 * _BEND * over)
    return found


def steep_slope(load: Array) -> Array:
    """Return the slope of :func:`steep_waiting`."""
    over = np.maximum(load - STEEP, 0.0)
    found: Array = 1 / (1 - np.minimum(load, STEEP)) ** 2 - 1 + _BEND * over
    return found


def steep_bend(load: Array) -> Array:
    """Return the second derivative of :func:`steep_waiting`."""
    found: Array = 2 / (1 - np.minimum(load, STEEP)) ** 3
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitProblem:
    """A problem of shares; see the module.

    :param linear: c, (columns,).
    :param loading: G, dense or sparse, (columns, resources × classes).
    :param base: b, what others take, (resources × classes,).
    :param steps: s, (resources × classes,).
    :param owner: source of each column, numbered from 0 without gaps, ascending, (columns,).
    """

    linear: Array
    loading: Any
    base: Array
    steps: Array
    owner: npt.NDArray[np.int64]

    def solve(self, start: Array, tolerance: float) -> Array:
        """Return the best shares.

        :param start: shares to start from, which may be 0.
        :param tolerance: of the cost, absolute.
        """
        owner, count = self.owner, int(self.owner[-1]) + 1
        columns = np.arange(len(owner))
        right = np.zeros((len(owner), 1 + count), order='F')  # as LAPACK wants it
        right[columns, owner + 1] = 1.0
        sizes = np.bincount(owner)
        first = np.cumsum(sizes) - sizes  # column of each source
        f = 0.9 * start + 0.1 / sizes[owner]
        f /= np.bincount(owner, f)[owner]
        here = self._look(f)
        least = np.minimum.reduceat(here.gradient, first)
        y = least - float((here.gradient - least[owner]).mean()) - 1e-3 * tolerance
        z = here.gradient - y[owner]
        for _ in range(MOST_STEPS):
            left = float(f @ z)
            slack = here.gradient - y[owner]
            if left <= tolerance and float(f @ np.abs(slack - z)) <= tolerance:
                break
            centre = _CENTRE * left / len(f)
            bend = self._bend(here.curvature)
            bend[columns, columns] += z / f
            right[:, 0] = centre / f - slack
            _, solved, failed = lapack.dposv(bend.T, right, overwrite_a=1)  # symmetric
            if failed:
                break
            newton, ways = solved[:, 0], solved[:, 1:]
            summed = np.add.reduceat(solved, first, axis=0)  # over each source's columns
            _, y_step, failed = lapack.dposv(summed[:, 1:], -summed[:, 0])
            if failed:
                break
            f_step = newton + ways @ y_step
            z_step = centre / f - z - z / f * f_step
            longest = _longest(f, f_step)
            before = here.value - centre * float(np.log(f).sum())
            for _ in range(12):
                tried = f + longest * f_step
                there = self._look(tried)
                after = there.value - centre * float(np.log(tried).sum())
                if after <= before + 1e-9 * abs(before):
                    break
                longest *= 0.5
            f, here = tried, there
            z = z + _longest(z, z_step) * z_step
            y = y + longest * y_step
        return f

    def _look(self, shares: Array) -> _Point:
        load = self.base + shares @ self.loading
        capped = np.minimum(load, STEEP)
        over = load - capped
        free = 1.0 / (1.0 - capped)
        waiting = capped * capped * free + over * (_SLOPE + 0.5 * _BEND * over)
        slope = free * free - 1.0 + _BEND * over
        return _Point(
            value=float(self.linear @ shares + self.steps @ waiting),
            gradient=self.linear + self.loading @ (self.steps * slope),
            curvature=2.0 * self.steps * free * free * free,
        )

    def _bend(self, curvature: Array) -> Array:
        scale = np.sqrt(curvature)
        if isinstance(self.loading, csr_matrix):
            scaled = self.loading.multiply(scale).tocsr()
            found: Array = (scaled @ scaled.T).toarray()
            return found
        dense = self.loading * scale
        product: Array = dense @ dense.T
        return product


@dataclass(frozen=True, kw_only=True, slots=True)
class _Point:
    """Cost, its gradient, and how each load bends it, at given shares."""

    value: float
    gradient: Array
    curvature: Array


def _longest(at: Array, step: Array) -> float:
    """Longest part of a step that stays positive."""
    fastest = float((-step / at).max())
    return 1.0 if fastest <= _SHORT else _SHORT / fastest
