# SPDX-License-Identifier: Apache-2.0
"""The work at every worker and interface of a fleet, in many histories of it side by side.

Lindley's recursion (1952) for a whole fleet, as Kiefer and Wolfowitz (1955) have it for several
servers: between two events work falls at rate 1, the most urgent class first; a task adds its
service time where the run-time policy sends it, given what is there. Nothing is assumed about how
queues depend on each other, on the policy or on bursts, as a closed formula would have to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pamdi_ros.allocation.deciding import decide, View
from pamdi_ros.allocation.diary import Diary, Outcome
from pamdi_ros.allocation.medium import sent_evenly
from pamdi_ros.allocation.options import Bools, Floats, Ints, Options
from pamdi_ros.allocation.running_sums import number_before, summed_up
from pamdi_ros.fleet import PolicyParameters

#: Tasks under way in a history at most, where nothing else is said.
UNDER_WAY = 48
#: A worker sends so many heartbeats in a lease.
HEARTBEATS = 3.0
#: Part of its time that a queue has for a class at least: what follows must stay finite.
LEAST_ROOM = 0.02
#: Mean stretches are reckoned anew every so many steps.
LEARNING_STEPS = 64


class Histories:
    """State of all histories. Queues are numbered: the workers, then their interfaces.

    :param workers: number of them.
    :param weights: γ of each class.
    :param shared: all interfaces send on one medium.
    :param times_s: arrivals of each source, shape (histories, items), the last infinite.
    :param under_way: tasks under way in a history at most; one that finds no room takes the place
        of another.
    """

    def __init__(
        self,
        *,
        options: Options,
        parameters: PolicyParameters,
        workers: int,
        weights: Floats,
        shared: bool,
        times_s: Sequence[Floats],
        under_way: int = UNDER_WAY,
    ) -> None:
        self._options, self._parameters, self._weights = options, parameters, weights
        self._workers, self._shared = workers, shared
        self._rng = np.random.default_rng(2)
        count, queues, classes = len(times_s[0]), 2 * workers, len(weights)
        self._each = np.arange(count)
        self._now_s = np.zeros(count)
        # What is known of each queue by class, in one array: it is read at once.
        state = np.zeros((count, queues, 5, classes))
        self._state = state
        self._left_s = state[:, :, 0]  # work there
        self._told_s = state[
            :, :, 1
        ]  # work there at the last heartbeat, and come from peers since
        self._coming_s = state[:, :, 2]  # work on its way there
        self._reserved_s = state[:, :, 3]  # work on its way there that the worker knows of
        self._typical_s = state[:, :, 4]  # service time of the last task
        self._typical_s[:] = 1.0
        self._brought_s = np.zeros((count, queues, classes))
        self._unit_s = np.zeros((count, queues, classes))
        self._period_s = parameters.lease_s / HEARTBEATS
        self._beat_s = self._period_s * self._rng.random((count, queues))
        self._stretch = np.ones((queues, classes))
        self._slowdown = np.ones(workers)
        self._sources = len(times_s)
        longest = max(times.shape[1] for times in times_s)
        self._times_s = np.full((self._sources, count, longest), np.inf)
        for number, times in enumerate(times_s):
            self._times_s[number, :, : times.shape[1]] = times
        self._arrived = np.zeros((self._sources, count), dtype=np.intp)
        # The next item of each source, then tasks under way. What: a stage in which a task is to
        # be decided about, or −1 − an option whose worker it comes to.
        columns = self._sources + under_way
        self._due_s = np.full((count, columns), np.inf)
        self._due_s[:, : self._sources] = self._times_s[:, :, 0].T
        self._what = np.zeros((count, columns), dtype=np.intp)
        self._what[:, : self._sources] = options.first
        self._held_s = np.zeros((count, columns))
        self._diary = Diary()

    def run(self, from_s: float, until_s: float, together_s: float = 0.0) -> Outcome:
        """Run all histories.

        :param from_s: what happens before is not counted [s].
        :param until_s: when they end [s].
        :param together_s: what happens within so short a time in a history happens at once [s].
        """
        self._run(from_s, together_s)
        left_s = self._left_s.copy()
        self._run(until_s, together_s)
        self._learn()
        growth = (self._left_s - left_s).mean(axis=0) / (until_s - from_s)
        stretch = np.tile(self._stretch, (len(self._each), 1)).T
        return self._diary.read(self._options, self._sources, from_s, stretch, growth)

    def _run(self, until_s: float, together_s: float) -> None:
        steps = 0
        while True:
            first_s = np.minimum(self._due_s.min(axis=1), until_s)
            self._pass(first_s - self._now_s)
            self._now_s = first_s
            if together_s > 0:
                last_s = np.minimum(first_s + together_s, until_s)
                live, column = np.nonzero(self._due_s < last_s[:, None])
            else:
                live = np.flatnonzero(first_s < until_s)
                column = self._due_s[live].argmin(axis=1)
            if not len(live):
                return
            self._step(live, column)
            steps += 1
            if steps % LEARNING_STEPS == 0:
                self._learn()

    def _pass(self, gap_s: Floats) -> None:
        """Let time pass: the most urgent work is done first."""
        gap = np.repeat(gap_s[:, None], self._left_s.shape[1], axis=1)
        if self._shared:
            wires_s = self._left_s[:, self._workers :].sum(axis=2)
            gap[:, self._workers :] = sent_evenly(wires_s, gap_s)
        for rank in range(self._left_s.shape[2]):
            left_s = self._left_s[:, :, rank]
            done_s = np.minimum(left_s, gap)
            left_s -= done_s
            gap -= done_s
        self._beat_s -= gap_s[:, None]
        if (beats := self._beat_s <= 0).any():
            self._told_s[beats] = self._left_s[beats]
            self._beat_s[beats] %= self._period_s

    def _learn(self) -> None:
        """Find how much longer work takes because other work is done before it, on average."""
        done_s = (self._brought_s - self._left_s).sum(axis=0)
        busy = done_s / max(float(self._now_s.sum()), 1e-9)
        others = np.cumsum(busy, axis=1) - busy
        if self._shared:
            wires = busy[self._workers :].sum(axis=1)
            elsewhere = wires.sum() - wires
            self._slowdown = 1 / np.maximum(1 - elsewhere, LEAST_ROOM)
            others[self._workers :] += elsewhere[:, None]
        self._stretch = 1 / np.maximum(1 - others, LEAST_ROOM)

    def _step(self, live: Ints, column: Ints) -> None:
        """Let the next thing happen in each of these histories."""
        options, size = self._options, self._options.worker.shape[1]
        now_s = self._now_s[live]
        what = self._what[live, column]
        fresh, comes = column < self._sources, what < 0
        self._next(live, column, fresh)
        stage, pick = np.divmod(np.where(comes, -1 - what, what * size), size)
        decides = np.flatnonzero(~comes)
        if len(decides):
            pick[decides] = self._decide(live[decides], stage[decides])
        option = stage * size + pick
        rank, home, worker = options.rank[stage], options.home[stage], options.worker[stage, pick]
        service_s, wire_s = options.service_s[stage, pick], options.wire_s[stage, pick]
        after = options.after[stage, pick]
        self._come(live[comes], worker[comes], rank[comes], service_s[comes], column[comes])
        sends = ~comes & options.away[stage, pick]
        queue = np.where(sends, self._workers + home, worker)
        jump_s = np.where(sends, wire_s, service_s)
        chunk_s = np.minimum(wire_s, self._parameters.chunk_airtime_s) / 2
        unit_s = np.where(sends, chunk_s, options.left_s[stage, pick])
        ahead_s, brought_s, left_s = self._add(live, queue, rank, jump_s, unit_s)
        upto_s = ahead_s + jump_s
        if self._shared and sends.any():
            upto_s[sends] += self._elsewhere_s(live[sends], home[sends], upto_s[sends])
        done_s = self._stretch[queue, rank] * upto_s
        way_s = done_s + options.latency_s[stage, pick] + options.asks_s[stage]
        goes = np.flatnonzero(sends)
        self._go(live[goes], worker[goes], rank[goes], option[goes], way_s[goes])
        goes_on = np.flatnonzero(~sends & (after >= 0))
        self._due(live[goes_on], now_s[goes_on] + done_s[goes_on], after[goes_on], 0.0)
        home_s = np.where(after < 0, options.home_s[stage, pick], 0.0)
        self._diary.event(now_s, option, fresh, ~comes, np.where(sends, way_s, home_s))
        stays = np.flatnonzero(~sends)
        queue = live * self._left_s.shape[1] + queue
        self._diary.stay(
            now_s[stays], option[stays], queue[stays], brought_s[stays], left_s[stays]
        )

    def _next(self, live: Ints, column: Ints, fresh: Bools) -> None:
        """Take what happens now off the list."""
        due_s = np.full(len(live), np.inf)
        rows, source = live[fresh], column[fresh]
        self._arrived[source, rows] += 1
        due_s[fresh] = self._times_s[source, rows, self._arrived[source, rows]]
        self._due_s[live, column] = due_s

    def _due(self, rows: Ints, due_s: Floats, what: Ints, held_s: Floats | float) -> None:
        """Note that something will happen."""
        if len(rows):
            free = np.isinf(self._due_s[rows, self._sources :]).cumsum(axis=1)
            place = (free > number_before(rows)[:, None]).argmax(axis=1) + self._sources
            self._due_s[rows, place] = due_s
            self._what[rows, place] = what
            self._held_s[rows, place] = held_s

    def _go(self, rows: Ints, worker: Ints, rank: Ints, option: Ints, way_s: Floats) -> None:
        """Send tasks to peers.

        A peer that was asked has reserved room for a while; where the way takes longer, the
        reservation is seen for a part of it only.
        """
        if not len(rows):
            return
        options, size = self._options, self._options.worker.shape[1]
        stage, pick = np.divmod(option, size)
        service_s = options.service_s[stage, pick]
        reserved_s = self._parameters.reservation_s + options.latency_s[stage, pick]
        reserved_s = reserved_s + options.wire_s[stage, pick]
        held_s = service_s * np.minimum(1.0, reserved_s / way_s) * options.asks[stage]
        self._due(rows, self._now_s[rows] + way_s, -1 - option, held_s)
        np.add.at(self._coming_s, (rows, worker, rank), service_s)
        np.add.at(self._reserved_s, (rows, worker, rank), held_s)

    def _come(self, rows: Ints, worker: Ints, rank: Ints, service_s: Floats, column: Ints) -> None:
        """Have tasks come to peers; those who sent them know of it before the next heartbeat."""
        if len(rows):
            where = (rows, worker, rank)
            np.subtract.at(self._coming_s, where, service_s)
            np.subtract.at(self._reserved_s, where, self._held_s[rows, column])
            np.add.at(self._told_s, where, service_s)

    def _add(
        self, rows: Ints, queue: Ints, rank: Ints, jump_s: Floats, unit_s: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Add work to queues.

        :returns: what is done before each piece [s], shape (rows,); what of each class ever came
            to its queue, and what is there, once it has come [s], shape (rows, classes).
        """
        there_s: Floats = self._left_s[rows, queue]
        behind = np.arange(there_s.shape[1]) > rank[:, None]
        ahead_s: Floats = (there_s * ~behind).sum(axis=1)
        lower = behind & (there_s > 0)
        # Where only lower classes are there, one of their units has begun and will be finished.
        blocked = np.flatnonzero((ahead_s <= 0) & lower.any(axis=1))
        if len(blocked):
            place = rows[blocked] * self._left_s.shape[1] + queue[blocked]
            blocked = blocked[np.unique(place, return_index=True)[1]]
            begun = lower[blocked].argmax(axis=1)
            r, q, c = rows[blocked], queue[blocked], rank[blocked]
            held_s = np.minimum(self._unit_s[r, q, begun], self._left_s[r, q, begun])
            self._left_s[r, q, begun] -= held_s
            self._left_s[r, q, c] += held_s
            self._brought_s[r, q, c] += held_s
            there_s = self._left_s[rows, queue]
            ahead_s = (there_s * ~behind).sum(axis=1)
        came_s = self._brought_s[rows, queue]
        where = (rows, queue, rank)
        np.add.at(self._left_s, where, jump_s)
        np.add.at(self._brought_s, where, jump_s)
        self._typical_s[where] = np.maximum(jump_s, 1e-9)
        self._unit_s[where] = unit_s
        added_s = np.zeros_like(there_s)
        added_s[np.arange(len(rows)), rank] = jump_s
        added_s = summed_up(rows * self._left_s.shape[1] + queue, added_s)
        ahead_s = ahead_s + (added_s * ~behind).sum(axis=1) - jump_s
        return ahead_s, came_s + added_s, there_s + added_s

    def _elsewhere_s(self, rows: Ints, home: Ints, own_s: Floats) -> Floats:
        """What others send on the shared medium while a sender sends so much [s]."""
        others_s = self._left_s[rows, self._workers :].sum(axis=2)
        others_s[np.arange(len(rows)), home] = 0.0
        elsewhere_s: Floats = np.minimum(others_s, own_s[:, None]).sum(axis=1)
        return elsewhere_s

    def _decide(self, rows: Ints, stage: Ints) -> Ints:
        """Choose for tasks at hand, shape (rows,)."""
        options = self._options
        state = self._state[rows[:, None], options.worker[stage]]
        left_s, told_s, coming_s, reserved_s, typical_s = state.transpose(2, 0, 1, 3)
        away = options.away[stage][:, :, None]
        wire = self._workers + options.home[stage]
        view = View(
            told_s=np.where(away, told_s + coming_s, left_s + reserved_s),
            asked_s=left_s + reserved_s,
            typical_s=typical_s,
            wire_s=self._left_s[rows, wire],
            piece_s=self._typical_s[rows, wire],
            slowdown=self._slowdown[options.home[stage]],
        )
        return decide(options, self._parameters, self._weights, stage, view, self._rng)
