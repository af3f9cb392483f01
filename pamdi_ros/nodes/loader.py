# SPDX-License-Identifier: Apache-2.0
"""Loads the partitions of a new assignment in a thread of its own, then switches to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
import logging

from pamdi_ros.fleet import Source
from pamdi_ros.models import ModelError
from pamdi_ros.msg import WorkerStatus
from pamdi_ros.nodes.engine import Engine
from pamdi_ros.nodes.report import Health
from pamdi_ros.nodes.sizes import SizesEngine
from pamdi_ros.worker import Partition, Plan

#: What a worker says of itself while it holds less than before and not yet what is wanted.
MAKING_ROOM = (
    'the old and the new partitions do not fit into memory_mb together: loading the new ones'
)


def health_after(problem: str) -> Health:
    """What a worker says of itself after a switch.

    :param problem: what the loader told; empty: all is there.
    """
    if problem == MAKING_ROOM:
        return Health(state=WorkerStatus.STATE_LOADING, message=problem)
    state = WorkerStatus.STATE_DEGRADED if problem else WorkerStatus.STATE_SERVING
    return Health(state=state, message=problem)


Switched = Callable[[Sequence[Partition], str], None]


class Loader:
    """Serves one assignment after the other, the newest last.

    :param engine: holds the partitions.
    :param worker: name of the worker.
    :param sources: sources whose home it is.
    :param switched: called, from the loader's thread, with the partitions that are there and what
        went wrong (empty: nothing); once it returns, those that are wanted no more are let go.
    """

    def __init__(
        self,
        engine: Engine | SizesEngine,
        worker: str,
        sources: Sequence[Source],
        switched: Switched,
    ) -> None:
        self._engine = engine
        self._worker = worker
        self._sources = sources
        self._switched = switched
        self._pool = ThreadPoolExecutor(1, thread_name_prefix='load')
        self._wanted: tuple[Partition, ...] | None = None
        self._problem = ''
        self._ready: dict[Partition, object] = {}

    def is_due(self, plan: Plan) -> bool:
        """Tell whether what a plan places here is neither there nor on its way."""
        return plan.partitions(self._worker) != self._wanted or bool(self._problem)

    def load(self, plan: Plan) -> None:
        """Begin to load what a plan places here.

        An older one still waiting is skipped; what is loaded is not loaded again. What was held
        serves on meanwhile, unless both together do not fit into the worker's memory: then what is
        wanted no more goes first, and its tasks go elsewhere.
        """
        self._wanted, self._problem = plan.partitions(self._worker), ''
        self._pool.submit(self._load, self._wanted)

    def close(self) -> None:
        """Load nothing more."""
        self._wanted = None
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _load(self, wanted: tuple[Partition, ...]) -> None:
        problems: list[str] = []
        try:
            for source in self._sources:
                self._attempt(lambda source=source: self._engine.learn([source]), problems)
            if not self._engine.fits({*self._ready, *wanted}):
                kept = [partition for partition in wanted if partition in self._ready]
                if len(kept) < len(self._ready):
                    self._switch(kept, MAKING_ROOM)
            for partition in wanted:
                if wanted is not self._wanted:
                    return
                self._attempt(lambda partition=partition: self._fetch(partition), problems)
            if wanted is self._wanted:
                self._switch(wanted, '; '.join(problems))
        except Exception:
            logging.getLogger(__name__).exception('loader')

    def _fetch(self, partition: Partition) -> None:
        if partition not in self._ready:
            self._ready[partition] = self._engine.load(partition)

    def _switch(self, wanted: Sequence[Partition], problem: str) -> None:
        """Have both the old and the new ones until nothing uses the old ones any more."""
        self._problem = problem
        self._engine.hold(self._ready)
        held = tuple(partition for partition in wanted if partition in self._ready)
        self._switched(held, problem)
        self._ready = {partition: self._ready[partition] for partition in held}
        self._engine.hold(self._ready)

    def _attempt(self, action: Callable[[], object], problems: list[str]) -> None:
        try:
            action()
        except ModelError as error:
            problems.append(str(error))
        # Out of memory, a broken factory: told, and the rest is served.
        except (Exception, SystemExit) as error:
            problems.append(f'{type(error).__name__}: {error}')
