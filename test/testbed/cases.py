# SPDX-License-Identifier: Apache-2.0
"""Whether this machine lets us make test networks."""

from __future__ import annotations

from pamdi_ros.fleet import FleetError
from pamdi_ros.testbed import namespace_sandbox as enclosure
import pytest


def why_not() -> str:
    """Say why no network can be made here; empty: it can."""
    try:
        enclosure.check('--real')
    except FleetError as error:
        return '; '.join(problem.message for problem in error.problems)
    return ''


WHY_NOT = why_not()
needs_namespaces = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or 'networks can be made')
