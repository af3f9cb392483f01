# SPDX-License-Identifier: Apache-2.0
"""The unit table of a model, for processes that plan and never load torch."""

from __future__ import annotations

from collections.abc import Mapping
import os

from pamdi_ros.models.build.bundle import resolve
from pamdi_ros.models.build.heads import check_units, read_heads
from pamdi_ros.models.build.profiles import find_profile
from pamdi_ros.models.build.request import read_request
from pamdi_ros.models.units import UnitTable


def unit_table(
    spec: Mapping[str, object], cache_dir: str | os.PathLike[str] | None = None
) -> UnitTable:
    """Return the costs of a model's units.

    They come from the model's bundle, else from a shipped profile where there is one, else from
    the cache; a model that is in neither, or has early exits, is built first.

    :param spec: the model's mapping, as :meth:`pamdi_ros.models.Model.from_spec` takes it.
    :param cache_dir: None: $PAMDI_CACHE, else ~/.cache/pamdi_ros.
    :raises ModelError: for a wrong mapping, or with the builder's message.
    """
    # The shapes that heads are made for are in no profile: exits need the build.
    if spec.get('bundle') is None and not read_heads(spec):
        request = read_request(spec)
        profile = find_profile(request, cache_dir)
        if profile is not None:
            return profile.outline.table(request.name, profile.outline.places(request.unit_flops))
    found = resolve(spec, cache_dir)
    table = found.table()
    check_units(found.heads, len(table))
    return table
