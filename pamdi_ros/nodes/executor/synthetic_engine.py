# SPDX-License-Identifier: Apache-2.0
"""Workers with ``compute: none``: no model, no arithmetic; sizes, times and traffic are real."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pamdi_ros.assignment import partitions_of, Unit, units_of
from pamdi_ros.fleet import Fleet, Source
from pamdi_ros.nodes.executor.emulation import Pace
from pamdi_ros.nodes.progress import ModelProgress
from pamdi_ros.nodes.wire.placeholder import placeholder
from pamdi_ros.worker import ComputeUnit, ModelProfile, Partition, Plan, UnitResult


def has_sizes_only(fleet: Fleet) -> bool:
    """Tell whether some worker of a fleet leaves the arithmetic out."""
    return any(worker.compute == 'none' for worker in fleet.workers.values())


def size_outcome(work: ComputeUnit, boundary_bytes: Sequence[int], compute_s: float) -> UnitResult:
    """Return what follows from a unit that computed nothing: the next size, or the next pass.

    There is no content that an exit could doubt: one that is asked is always confident.

    :param boundary_bytes: of the model, the answer's last [byte].
    :param compute_s: the time that the unit took [s].
    """
    again = work.answers and work.execution.passes_left > 1
    asked = work.exit is not None
    if work.test:
        return UnitResult(None, compute_s=compute_s)
    size = boundary_bytes[0 if again else work.last]
    return UnitResult(
        payload=placeholder(size),
        payload_bytes=size,
        compute_s=compute_s,
        tokens=work.execution.tokens,
        next_pass=again,
        confident=asked,
        early=placeholder(boundary_bytes[-1]) if asked else None,
        early_bytes=boundary_bytes[-1] if asked else 0,
    )


class SyntheticEngine:
    """The compute half of a worker that does not compute; offers what Engine does.

    :param fleet: the fleet.
    :param worker: name of the worker.
    """

    device = 'none (sizes only)'
    prepares = False
    memory_bytes = 0
    engines: Mapping[str, str] = {}
    digests: Mapping[str, str] = {}
    threads = 1

    def __init__(self, fleet: Fleet, worker: str) -> None:
        self.opening = ModelProgress()  # none ever is
        self._pace = Pace(fleet.workers[worker])
        self._models: Mapping[str, ModelProfile] = {}
        self._held: set[Unit] = set()

    @property
    def held(self) -> tuple[Partition, ...]:
        """Units taken for loaded, in ranges."""
        return partitions_of(self._held)

    def use_threads(self, threads: int) -> None:
        """Do without."""

    def plan(self, plan: Plan) -> None:
        """Take what an assignment tells of the models."""
        self._models = {**self._models, **plan.models}

    def learn(self, sources: Iterable[Source]) -> None:
        """Learn nothing: no item is looked at."""

    def load(self, model: str, unit: int, timed: bool) -> float:
        """Take a unit for loaded; it takes as long as was declared."""
        self._held.add((model, unit))
        profile = self._models.get(model)
        return 0.0 if profile is None else self._pace.unit_s(profile.flops[unit])

    def fuses(self, model: str) -> bool:
        """Tell that units are passed one by one."""
        return False

    def load_session(self, model: str, first: int, last: int, alone: bool) -> float:
        """Take a session for loaded; nobody asks for one."""
        return sum(self._pace.unit_s(flops) for flops in self._models[model].flops[first:last])

    def free_sessions(self, sessions: tuple[Partition, ...]) -> None:
        """Let sessions go."""

    def free(self, partitions: tuple[Partition, ...]) -> None:
        """Let go of units."""
        self._held -= units_of(partitions)

    def labels(self, model: str) -> tuple[str, ...]:
        """Return no names of classes."""
        return ()

    def text(self, tokens: Sequence[int]) -> str:
        """Return no text."""
        return ''

    def rested(self) -> None:
        """Note that there was nothing to do until now."""
        self._pace.rested()

    def run(self, work: ComputeUnit) -> UnitResult:
        """Let a unit's time pass."""
        self._pace.begin()
        profile = self._models[work.execution.task.model]
        flops = sum(profile.flops[unit] for unit in range(work.first, work.last))
        compute_s = self._pace.end_unit(flops, first=not work.execution.started)
        return size_outcome(work, profile.boundary_bytes, compute_s)
