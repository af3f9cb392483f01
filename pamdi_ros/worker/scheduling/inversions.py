# SPDX-License-Identifier: Apache-2.0
"""Priority inversions: top-class tasks that waited for a lower class longer than for a unit."""

from __future__ import annotations

from dataclasses import dataclass
import math

from pamdi_ros.worker.scheduling.queue import ExecutionQueue
from pamdi_ros.worker.stage import StageExecution

#: Units last as long as they are expected to within this factor; what is longer is more than one.
MARGIN = 1.5


@dataclass(slots=True)
class Inversions:
    """Counts them at one worker.

    A unit once begun is finished, so an urgent task that comes meanwhile waits for its rest: that
    is the least a cooperative scheduler can do. A task that waits for a lower class longer than
    the expected time of a unit, by more than half, counts once in its execution.

    :param quantum_s: shorter units count as this long: what hardly shows is no inversion [s].
    """

    quantum_s: float
    count: int = 0

    def unit_over(
        self, running: StageExecution, queue: ExecutionQueue, unit_s: float, now: float
    ) -> None:
        """Take the end of a unit; call it before ``running.since_s``, its begin, is changed.

        :param running: whose unit it was.
        :param queue: what waited meanwhile.
        :param unit_s: time that the unit was expected to take [s].
        """
        if not running.rank or not len(queue):
            return
        bound_s = MARGIN * max(unit_s, self.quantum_s)
        for execution in queue:
            if execution.rank == 0:
                execution.behind_s += now - max(execution.since_s, running.since_s)
                if execution.behind_s > bound_s:
                    self.count += 1
                    execution.behind_s = -math.inf
