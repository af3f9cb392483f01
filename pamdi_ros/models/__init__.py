# SPDX-License-Identifier: Apache-2.0
"""Models as chains of units: cost tables without torch, partitions with it."""

from __future__ import annotations

from typing import Any, TYPE_CHECKING

from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.units import UnitCost, UnitTable

if TYPE_CHECKING:
    from pamdi_ros.models.engines.model import Model
    from pamdi_ros.models.engines.partition import LoadedPartition, Unit

__all__ = ['LoadedPartition', 'Model', 'ModelError', 'Unit', 'UnitCost', 'UnitTable']


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for."""
    if name == 'Model':
        from pamdi_ros.models.engines.model import Model

        return Model
    if name in ('LoadedPartition', 'Unit'):
        from pamdi_ros.models.engines import partition

        return getattr(partition, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
