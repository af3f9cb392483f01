# SPDX-License-Identifier: Apache-2.0
"""Who holds and runs what: from a fleet and its models' unit tables to an assignment."""

from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.static_chain import plan_static_chain

__all__ = ['Costs', 'plan_static_chain']
