# SPDX-License-Identifier: Apache-2.0
"""Who holds and runs what: from a fleet and its models' unit tables to an assignment."""

from pamdi_ros.allocation.baselines.route import route_s
from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.objective import evaluate
from pamdi_ros.allocation.optimizer.exact import solve_exact
from pamdi_ros.allocation.optimizer.priced import solve_priced
from pamdi_ros.allocation.planner import plan_for, profiles, with_priorities
from pamdi_ros.allocation.problem import PlacementProblem
from pamdi_ros.allocation.replanning.record import digest, read_record, Record, write_record
from pamdi_ros.allocation.solution import Flow, Solution

__all__ = [
    'Costs',
    'Flow',
    'PlacementProblem',
    'Record',
    'Solution',
    'digest',
    'evaluate',
    'plan_for',
    'profiles',
    'read_record',
    'route_s',
    'solve_exact',
    'solve_priced',
    'with_priorities',
    'write_record',
]
