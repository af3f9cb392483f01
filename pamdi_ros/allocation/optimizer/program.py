# SPDX-License-Identifier: Apache-2.0
"""The planning problem as a mixed-integer program, as HiGHS takes it.

Flows run over (blocks done, worker): ``R[k, n]`` of a source's items run block k at worker n,
``S[k, i, j]`` are sent from i to j before block k, ``X[e, n]`` leave by exit e at n. What a block
runs at must be held (``R ≤ x``, binary where memory is scarce). Φ stands in by tangents, which lie
below it: the program's optimum is a bound of the problem's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from pamdi_ros.allocation.problem import PlacementProblem
from scipy.optimize import Bounds, LinearConstraint, milp, OptimizeResult
from scipy.sparse import csr_matrix

Array = npt.NDArray[np.float64]

#: No resource may be busy for more of the time than this.
MOST_LOAD = 0.999
#: Utilisations at which a tangent of Φ is laid from the start: evenly spread in log(1 − ρ).
TANGENTS = tuple(float(1.0 - free) for free in np.geomspace(1.0, 1.0 - MOST_LOAD, 28))

Terms = Sequence[tuple[int, float]]


@dataclass(slots=True)
class Rows:
    """Rows and columns of a program while it is written."""

    cost: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    integer: list[bool] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    _at: tuple[list[int], list[int], list[float]] = field(default_factory=lambda: ([], [], []))

    def variable(self, cost: float = 0.0, upper: float = 1.0, *, integer: bool = False) -> int:
        """Add a variable from 0 on, and give its number."""
        self.cost.append(cost)
        self.upper.append(upper)
        self.integer.append(integer)
        return len(self.cost) - 1

    def row(self, terms: Terms, low: float, high: float) -> None:
        """Add low ≤ Σ value·variable ≤ high."""
        rows, columns, values = self._at
        for column, value in terms:
            rows.append(len(self.low))
            columns.append(column)
            values.append(value)
        self.low.append(low)
        self.high.append(high)

    def solve(self, time_limit_s: float, gap: float) -> OptimizeResult:
        """Minimise."""
        rows, columns, values = self._at
        shape = (len(self.low), len(self.cost))
        return milp(
            np.array(self.cost),
            integrality=np.array(self.integer, dtype=int),
            bounds=Bounds(np.zeros(len(self.cost)), np.array(self.upper)),
            constraints=LinearConstraint(
                csr_matrix((values, (rows, columns)), shape=shape),
                np.array(self.low),
                np.array(self.high),
            ),
            options={'time_limit': max(time_limit_s, 0.01), 'mip_rel_gap': gap},
        )


class IntegerProgram:
    """The program of one problem.

    :param problem: the problem.
    :ivar rows: as written so far.
    :ivar held: variable by (model, block, worker); −1: held without asking.
    :ivar waiting: variables of load and waiting by (resource, rank).
    """

    def __init__(self, problem: PlacementProblem) -> None:
        self.problem = problem
        self.rows = Rows()
        self.held: dict[tuple[str, int, int], int] = {}
        self._ranks = sorted({stream.rank for stream in problem.streams})
        self._busy: dict[tuple[int, int], list[tuple[int, float]]] = {}  # (resource, rank)
        self.waiting: dict[tuple[int, int], tuple[int, int]] = {}
        self._hold()
        for source in range(len(problem.streams)):
            self._route(source)
        self._congest()

    def tangent(self, resource: int, rank: int, load: float) -> None:
        """Lay a tangent of Φ at a utilisation."""
        if (resource, rank) not in self.waiting or load >= MOST_LOAD:
            return
        at, above = self.waiting[resource, rank]
        slope = 1 / (1 - load) ** 2 - 1
        value = load**2 / (1 - load)
        self.rows.row([(above, 1.0), (at, -slope)], value - slope * load, np.inf)

    def placed(self, x: Array) -> dict[tuple[str, int], int]:
        """Return the blocks held by (model, worker), as bit masks, of a solution."""
        found: dict[tuple[str, int], int] = {}
        for (model, block, worker), number in self.held.items():
            if number < 0 or x[number] > 0.5:
                found[model, worker] = found.get((model, worker), 0) | 1 << block
        return found

    def _hold(self) -> None:
        """Write memory; −1 stands for a block that a worker can hold with all others."""
        problem, rows = self.problem, self.rows
        whole = sum(
            blocks.weight_bytes((1 << len(blocks)) - 1) for blocks in problem.models.values()
        )
        whole += max((max(b.activation_bytes) for b in problem.models.values()), default=0)
        for worker, bound in enumerate(problem.memory_bytes):
            scarce = whole > bound
            most = rows.variable(upper=max(float(bound), 0.0) / 1e6 if scarce else 0.0)
            weights: list[tuple[int, float]] = [(most, 1.0)]
            for model, blocks in problem.models.items():
                for block, size in enumerate(blocks.activation_bytes):
                    fits = blocks.weight_bytes(1 << block) + size <= bound
                    number = -1
                    if scarce:
                        number = rows.variable(upper=float(fits), integer=True)
                        rows.row([(most, 1.0), (number, -size / 1e6)], 0.0, np.inf)
                    self.held[model, block, worker] = number
                for readers, size in blocks.tensors if scarce else ():
                    read = [b for b in range(len(blocks)) if readers >> b & 1]
                    if len(read) == 1:
                        weights.append((self.held[model, read[0], worker], size / 1e6))
                        continue
                    loaded = rows.variable()
                    for block in read:
                        rows.row([(loaded, 1.0), (self.held[model, block, worker], -1.0)], 0, 1)
                    weights.append((loaded, size / 1e6))
            if scarce:
                rows.row(weights, -np.inf, float(bound) / 1e6)

    def _route(self, source: int) -> None:
        """Write a source's flow; with several passes, one for each first worker."""
        problem, rows = self.problem, self.rows
        stream = problem.streams[source]
        blocks = problem.models[stream.model]
        count = len(problem.workers)
        starts = range(count) if blocks.passes > 1 else [-1]
        begin: list[tuple[int, float]] = []
        runs: dict[tuple[int, int], list[tuple[int, float]]] = {}
        for start in starts:
            begin += self._commodity(source, start, runs)
        rows.row(begin, 1.0, 1.0)
        for (block, worker), flow in runs.items():
            number = self.held[stream.model, block, worker]
            if number >= 0:
                rows.row([*flow, (number, -1.0)], -np.inf, 0.0)

    def _commodity(
        self, source: int, start: int, runs: dict[tuple[int, int], list[tuple[int, float]]]
    ) -> Terms:
        """Write the flow of a source's items that start at a worker; give how they begin."""
        problem, rows = self.problem, self.rows
        stream = problem.streams[source]
        blocks = problem.models[stream.model]
        count = len(problem.workers)
        begin = []
        inflow: list[dict[int, list[int]]] = [{} for _ in range(len(blocks))]
        outflow: list[dict[int, list[int]]] = [{} for _ in range(len(blocks) + 1)]
        for worker in range(count):
            if start in (-1, worker):
                sent = self._send(source, stream.home, worker, 0, 1)
                if sent is not None:
                    begin.append((sent, 1.0))
                    inflow[0].setdefault(worker, []).append(sent)
        for block in range(1, len(blocks)):
            for origin in range(count):
                for target in range(count):
                    if origin != target:
                        sent = self._send(source, origin, target, block, blocks.passes)
                        if sent is not None:
                            inflow[block].setdefault(target, []).append(sent)
                            outflow[block].setdefault(origin, []).append(sent)
        for number, exit_ in enumerate(blocks.exits):
            for worker in range(count):
                left = self._leave(source, start, number, worker)
                if left is not None:
                    outflow[exit_.block].setdefault(worker, []).append(left)
        for worker in range(count):
            before: list[tuple[int, float]] = []
            for block in range(len(blocks)):
                time_s = blocks.passes * float(blocks.time_s[block, worker])
                run = rows.variable(stream.rate_hz * stream.weight * time_s)
                self._occupy(worker, source, run, time_s)
                runs.setdefault((block, worker), []).append((run, 1.0))
                gone = [(sent, -1.0) for sent in outflow[block].get(worker, ())]
                come = [(sent, 1.0) for sent in inflow[block].get(worker, ())]
                if gone:
                    rows.row([*before, *gone], 0.0, np.inf)
                rows.row([*before, *gone, *come, (run, -1.0)], 0.0, 0.0)
                before = [(run, 1.0)]
            gone = [(sent, -1.0) for sent in outflow[len(blocks)].get(worker, ())]
            rows.row([*before, *gone], 0.0, 0.0)
        return begin

    def _send(self, source: int, origin: int, target: int, block: int, times: int) -> int | None:
        """Write a boundary's way and the overhead of the stay that it begins."""
        problem = self.problem
        stream = problem.streams[source]
        blocks = problem.models[stream.model]
        wires, size = problem.wires, float(blocks.boundary_bytes[block])
        if not np.isfinite(wires.latency_s[origin, target]):
            return None
        stay_s = blocks.passes * float(problem.overhead_s[target])
        time_s = times * float(
            wires.latency_s[origin, target] + size * wires.s_per_byte[origin, target]
        )
        sent = self.rows.variable(stream.rate_hz * stream.weight * (time_s + stay_s))
        self._occupy(target, source, sent, stay_s)
        for wire, s_per_byte in wires.crossing(origin, target):
            self._occupy(len(problem.workers) + wire, source, sent, times * size * s_per_byte)
        return sent

    def _leave(self, source: int, start: int, number: int, worker: int) -> int | None:
        """Write an exit: the answer's way home, and further passes' way to the start."""
        problem = self.problem
        stream = problem.streams[source]
        blocks = problem.models[stream.model]
        wires, exit_ = problem.wires, blocks.exits[number]
        time_s = float(wires.latency_s[worker, stream.home])
        again = blocks.passes - 1 if start >= 0 else 0
        size = float(blocks.boundary_bytes[0])
        if again:
            time_s += again * float(
                wires.latency_s[worker, start] + size * wires.s_per_byte[worker, start]
            )
        if not np.isfinite(time_s):
            return None
        gain = problem.accuracy_gain * exit_.accuracy
        left = self.rows.variable(stream.rate_hz * (stream.weight * time_s - gain))
        if again:
            for wire, s_per_byte in wires.crossing(worker, start):
                self._occupy(len(problem.workers) + wire, source, left, again * size * s_per_byte)
        return left

    def _occupy(self, resource: int, source: int, variable: int, busy_s: float) -> None:
        stream = self.problem.streams[source]
        if busy_s:
            terms = self._busy.setdefault((resource, stream.rank), [])
            terms.append((variable, stream.rate_hz * busy_s))

    def _congest(self) -> None:
        """Write utilisation by class and its waiting."""
        problem, rows = self.problem, self.rows
        resources = sorted({resource for resource, _ in self._busy})
        for resource in resources:
            below: list[tuple[int, float]] = []
            for index, rank in enumerate(self._ranks):
                last = len(problem.classes)
                if index + 1 < len(self._ranks):
                    last = self._ranks[index + 1]
                step = float(problem.steps[rank:last].sum())
                load = rows.variable(upper=MOST_LOAD)
                above = rows.variable(step, upper=np.inf)
                rows.row([*below, *self._busy.get((resource, rank), ()), (load, -1.0)], 0.0, 0.0)
                below = [(load, 1.0)]
                self.waiting[resource, rank] = (load, above)
                for at in TANGENTS:
                    self.tangent(resource, rank, at)


def solved_value(result: OptimizeResult) -> tuple[float, Any]:
    """Return the bound of what can be reached, as an objective, and the point found, if any."""
    bound = result.get('mip_dual_bound')
    if bound is None:
        bound = result.fun if result.fun is not None else -np.inf
    return -float(bound), result.x
