# SPDX-License-Identifier: Apache-2.0
"""The unit table of a model, for processes that plan and never load torch."""

from __future__ import annotations

from collections.abc import Mapping
import os

from pamdi_ros.models.cache import ensure_built
from pamdi_ros.models.request import read_request
from pamdi_ros.models.units import UnitTable


def unit_table(
    spec: Mapping[str, object], cache_dir: str | os.PathLike[str] | None = None
) -> UnitTable:
    """Give the costs of a model's units; a model not yet in the cache is built first.

    :param spec: the model's mapping, as :meth:`pamdi_ros.models.Model.from_spec` takes it.
    :param cache_dir: None: $PAMDI_CACHE, else ~/.cache/pamdi_ros.
    :raises ModelError: for a wrong mapping, or with the builder's message.
    """
    return ensure_built(read_request(spec), cache_dir).table
