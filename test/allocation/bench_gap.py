# SPDX-License-Identifier: Apache-2.0
"""How far the priced answer is from the exact one: python test/allocation/bench_gap.py --help."""

from __future__ import annotations

import argparse
import statistics
import time

from allocation.random_fleets import random_problem
from pamdi_ros.allocation import solve_exact, solve_priced


def main() -> None:
    """Compare the solvers on random small fleets and print the gaps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--fleets', type=int, default=300)
    parser.add_argument('--first', type=int, default=0, help='first seed')
    parser.add_argument('--limit', type=float, default=20.0, help='time limit of HiGHS [s]')
    parser.add_argument('--verbose', action='store_true')
    options = parser.parse_args()
    gaps: dict[bool, list[float]] = {True: [], False: []}
    feasible = lost = unproven = 0
    seconds: list[float] = []
    began_s = time.perf_counter()
    for seed in range(options.first, options.first + options.fleets):
        problem = random_problem(seed)
        priced = solve_priced(problem)
        exact = solve_exact(problem, options.limit, 1e-3)
        seconds.append(priced.seconds)
        if not exact.feasible:
            if priced.feasible:
                print(f'seed {seed}: priced is feasible, exact is not: {exact.reason}')
            continue
        feasible += 1
        unproven += exact.gap > 2e-3
        if not priced.feasible:
            lost += 1
            print(f'seed {seed}: exact is feasible, priced is not: {priced.reason}')
            continue
        gap = (exact.objective - priced.objective) / abs(exact.objective)
        gaps[seed % 2 == 0].append(gap)
        if options.verbose or gap > 0.05 or exact.gap > 2e-3:
            print(
                f'seed {seed}: {len(problem.workers)} workers, {len(problem.streams)} sources: '
                f'priced {priced.objective:.5g} exact {exact.objective:.5g} gap {gap:.2%} '
                f'(exact proven to {exact.gap:.2%} in {exact.seconds:.1f} s)',
                flush=True,
            )
    print(f'{options.fleets} fleets in {time.perf_counter() - began_s:.0f} s, {feasible} feasible')
    print(f'exact but not priced feasible: {lost}; exact not proven to 0.2 %: {unproven}')
    for name, found in (('scarce memory', gaps[True]), ('all', gaps[True] + gaps[False])):
        found = sorted(found)
        print(
            f'{name}: {len(found)} fleets, gap median {statistics.median(found):.3%}, '
            f'p95 {found[int(0.95 * (len(found) - 1))]:.2%}, worst {found[-1]:.2%}'
        )
    print(f'priced took {statistics.median(seconds) * 1e3:.0f} ms, at most {max(seconds):.2f} s')


if __name__ == '__main__':
    main()
