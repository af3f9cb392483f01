# SPDX-License-Identifier: Apache-2.0
"""Loads the partitions of a new assignment in a thread of its own, then switches to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
import logging

from pamdi_ros.fleet import Source
from pamdi_ros.models import ModelError
from pamdi_ros.nodes.engine import Engine
from pamdi_ros.worker import Partition, Plan


class Loader:
    """Serves one assignment after the other, the newest last.

    :param engine: holds the partitions.
    :param worker: name of the worker.
    :param sources: sources whose home it is.
    :param switched: called, from the loader's thread, with the partitions held and what went
        wrong (empty: nothing).
    """

    def __init__(
        self,
        engine: Engine,
        worker: str,
        sources: Sequence[Source],
        switched: Callable[[Sequence[Partition], str], None],
    ) -> None:
        self._engine = engine
        self._worker = worker
        self._sources = sources
        self._switched = switched
        self._pool = ThreadPoolExecutor(1, thread_name_prefix='load')
        self._newest = 0

    def load(self, plan: Plan) -> None:
        """Begin to load what a plan places here; an older plan still waiting is skipped."""
        self._newest = plan.epoch
        self._pool.submit(self._load, plan)

    def close(self) -> None:
        """Load nothing more."""
        self._newest = 0
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _load(self, plan: Plan) -> None:
        problems: list[str] = []
        loaded = {}
        try:
            for source in self._sources:
                self._attempt(lambda source=source: self._engine.learn([source]), problems)
            for partition in plan.partitions(self._worker):
                if plan.epoch != self._newest:
                    return
                self._attempt(
                    lambda partition=partition: loaded.update(
                        {partition: self._engine.load(partition)}
                    ),
                    problems,
                )
            if plan.epoch == self._newest:
                self._engine.hold(loaded)
                self._switched(tuple(loaded), '; '.join(problems))
        except Exception:
            logging.getLogger(__name__).exception('loader')

    def _attempt(self, action: Callable[[], object], problems: list[str]) -> None:
        try:
            action()
        except ModelError as error:
            problems.append(str(error))
        # Out of memory, a broken factory: told, and the rest is served.
        except (Exception, SystemExit) as error:
            problems.append(f'{type(error).__name__}: {error}')
