# SPDX-License-Identifier: Apache-2.0
"""Who holds what, as far as this worker knows, and what follows for a task: how far it can go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pamdi_ros.assignment import held_end, Partition
from pamdi_ros.worker.control import Heartbeat
from pamdi_ros.worker.peers import PeerTable
from pamdi_ros.worker.state import WorkerState
from pamdi_ros.worker.task import Task


@dataclass(slots=True)
class Holdings:
    """What this worker and its peers hold: by their last heartbeats, else by the assignment."""

    state: WorkerState
    peers: PeerTable
    _planned: dict[str, tuple[Partition, ...]] = field(default_factory=dict)
    _cuts: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)

    def changed(self) -> None:
        """Forget what followed from another assignment."""
        self._planned.clear()
        self._cuts.clear()

    def stage_end(self, worker: str, model: str, unit: int) -> int:
        """Where an execution of a model of the assignment would end at a worker.

        :returns: one past its last unit; `unit`: that worker does not hold it.
        """
        state = self.state
        held = state.held if worker == state.name else self._held_by(worker)
        profile = state.plan.models[model]
        # A peer with another fleet file or version may hold what this model does not have.
        end = min(held_end(held, model, unit), len(profile.flops))
        if end <= unit:
            return unit
        return state.policy.stage_end(profile, unit, end, self._cuts_at(worker, model))

    def end_here(self, model: str, unit: int) -> int:
        """Return :meth:`stage_end` at this worker, of any model."""
        if model not in self.state.plan.models:
            return unit
        return self.stage_end(self.state.name, model, unit)

    def has_withdrawn(self, worker: str, model: str) -> bool:
        """Tell whether a worker says that it cannot run a model just now."""
        if worker == self.state.name:
            return model in self.state.withdrawn
        heartbeat = self.peers.heartbeat(worker)
        return heartbeat is not None and model in heartbeat.withdrawn

    def cut_otherwise(self, heartbeat: Heartbeat, model: str) -> bool:
        """Tell whether a peer's units of a model are others than this worker's."""
        own, theirs = self.state.digests.get(model), heartbeat.digests.get(model)
        return bool(own and theirs and own != theirs)

    def others_hold(self, task: Task, worker: str) -> bool:
        """Tell whether another worker holds a task's next unit, or will.

        :param worker: that cannot do it; nor can those that its item is kept away from.
        """
        state, model, unit = self.state, task.model, task.next_unit
        if model not in state.plan.models:
            return True  # nobody knows
        avoided = state.avoids(task.key) | {worker}
        holders = {
            name
            for name in (state.name, *self.peers.living())
            if self.stage_end(name, model, unit) > unit
        }
        planned = state.plan.holders_of(model, unit)
        holders |= {name for name in planned if not self.peers.lost(name)}
        return bool(holders - avoided)

    def obstacle(self, task: Task, now: float) -> str:
        """Return why nobody can go on with a task: 'word: explanation'.

        Empty where somebody can: it waits for the answers of peers that were asked, for one that
        takes no tasks at this moment, or for the wire.
        """
        plan, name = self.state.plan, self.state.name
        if not plan.epoch:
            return f'not_ready: {name} has no assignment yet; is the allocator running?'
        source = plan.sources.get(task.key.source)
        if source is None:
            return f'not_ready: assignment {plan.epoch} has no source {task.key.source}'
        if task.epoch > plan.epoch:
            return f'not_ready: assignment {task.epoch} has not come to {name} yet'
        unit = task.next_unit
        stage = source.stage(unit) if self.state.policy.fixed_route else None
        if stage is not None and stage.worker == name:
            if self.end_here(task.model, unit) > unit:
                return ''
            return f'no_route: {name} does not hold unit {unit} of {task.model} yet'
        return self._no_way(task.model, unit, now)

    def _no_way(self, model: str, unit: int, now: float) -> str:
        """Return which unit nobody who is there holds: 'word: explanation'; empty: there is none.

        Where that is because its planned holder is lost, that worker is named.

        :param unit: that the task goes on with.
        """
        state = self.state
        parts = [*state.held]
        for peer in self.peers.living():
            heartbeat = self.peers.heartbeat(peer)
            parts += heartbeat.held if heartbeat is not None else ()
        profile = state.plan.models.get(model)
        missing = held_end(sorted(parts), model, unit)
        if profile is None:
            return f'no_route: assignment {state.plan.epoch} does not say what {model} costs'
        if missing >= len(profile.flops):
            return ''
        what = f'unit {missing} of {model}'
        coming = []
        for holder in state.plan.holders_of(model, missing):
            word, why = self.peers.absence(holder, now) if holder != state.name else ('', '')
            if word:
                return f'{word}: {holder}, which is to hold {what}, {why}'
            if self.has_withdrawn(holder, model):
                why = 'cannot run it now: see its status'
            coming.append(f'; {holder}, which is to hold it, {why or "does not hold it yet"}')
        return f'no_route: nobody who is there holds {what}{"".join(coming)}'

    def _held_by(self, worker: str) -> Sequence[Partition]:
        """Return what a peer holds and is not about to let go, sorted."""
        plan = self.state.plan
        planned = self._planned.get(worker)
        if planned is None:
            planned = self._planned[worker] = plan.partitions(worker)
        heartbeat = self.peers.heartbeat(worker)
        if heartbeat is None:
            return planned
        there = heartbeat.held
        if heartbeat.digests and self.state.digests:
            there = tuple(held for held in there if not self.cut_otherwise(heartbeat, held.model))
        if heartbeat.edition >= plan.edition:
            return there
        return tuple(
            Partition(held.model, max(held.first, part.first), min(held.last, part.last))
            for held in there
            for part in planned
            if held.model == part.model and max(held.first, part.first) < min(held.last, part.last)
        )

    def _cuts_at(self, worker: str, model: str) -> tuple[int, ...]:
        cuts = self._cuts.get((worker, model))
        if cuts is None:
            cuts = self._cuts[worker, model] = self.state.plan.cuts(worker, model)
        return cuts
