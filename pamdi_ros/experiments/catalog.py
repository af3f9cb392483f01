# SPDX-License-Identifier: Apache-2.0
"""The experiments by name."""

from __future__ import annotations

from collections.abc import Mapping
import importlib
from types import MappingProxyType
from typing import Protocol

from pamdi_ros.experiments.report import ExperimentReport
from pamdi_ros.experiments.size import Size
from pamdi_ros.simulation.batch import Progress

#: Name of each and the question that it answers; a module of that name has ``run``.
EXPERIMENTS: Mapping[str, str] = MappingProxyType(
    {
        'baselines': 'what PA-MDI+ takes off the urgent source’s delay against each baseline',
        'priorities': 'who gains and who pays, by weights and by the share of urgent work',
        'scale': '3 to 200 workers: delay, bound, messages, allocator, simulator',
        'dynamics': 'what changes while the fleet runs, and how long it takes to recover',
        'models': 'ten further architectures: partitions, cuts, delay',
        'ablation': 'what each ingredient contributes, removed alone and added alone',
        'calibration': 'the simulator against real processes, source by source',
    }
)
#: Experiments that cannot run on a test network, and why.
SIMULATED_ONLY: Mapping[str, str] = MappingProxyType(
    {'scale': 'one machine cannot carry hundreds of executors in real time'}
)


class Experiment(Protocol):
    """A module of this package that is an experiment."""

    def run(
        self, size: Size, progress: Progress | None = None, processes: int | None = None
    ) -> ExperimentReport:
        """Run it.

        :param progress: gets the share that is done, in [0, 1].
        :param processes: most at a time; None: one a core.
        """


def experiment(name: str) -> Experiment:
    """Return an experiment.

    :raises KeyError: there is none of that name.
    """
    if name not in EXPERIMENTS:
        raise KeyError(name)
    found: Experiment = importlib.import_module(f'pamdi_ros.experiments.{name}')
    return found
