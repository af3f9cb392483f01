# SPDX-License-Identifier: Apache-2.0
"""One thread for the linear algebra of planning, told to OpenBLAS before it is loaded.

Its threads spin while they wait for each other. Where anything else is at work on the cores, as
inference is, that made a plan of 50 workers take 20 to 90 s in place of 3; where nothing is, one
thread is as quick: a plan's matrices are small.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from pamdi_ros.fleet.frozen import FrozenDict

#: Whoever set it has decided.
VARIABLE = 'OPENBLAS_NUM_THREADS'


def planning_environment(environ: Mapping[str, str]) -> FrozenDict[str, str]:
    """Return the variables to set for a process that plans.

    :param environ: that it inherits.
    """
    return FrozenDict() if environ.get(VARIABLE) else FrozenDict({VARIABLE: '1'})


def plan_on_one_thread(environ: MutableMapping[str, str]) -> None:
    """Set them for this process; numpy and scipy must not be loaded yet.

    :param environ: the process's own, os.environ.
    """
    environ.update(planning_environment(environ))
