# SPDX-License-Identifier: Apache-2.0
"""The unit table of a model, for processes that plan and never load torch."""

from __future__ import annotations

from collections.abc import Mapping
import os

from pamdi_ros.models.build.cache import ensure_built
from pamdi_ros.models.build.heads import check_units, ensure_heads, read_heads, with_heads
from pamdi_ros.models.build.profiles import find_profile
from pamdi_ros.models.build.request import read_request
from pamdi_ros.models.units import UnitTable


def unit_table(
    spec: Mapping[str, object], cache_dir: str | os.PathLike[str] | None = None
) -> UnitTable:
    """Return the costs of a model's units.

    They come from a shipped profile where there is one, else from the cache; a model that is in
    neither, or has early exits, is built first.

    :param spec: the model's mapping, as :meth:`pamdi_ros.models.Model.from_spec` takes it.
    :param cache_dir: None: $PAMDI_CACHE, else ~/.cache/pamdi_ros.
    :raises ModelError: for a wrong mapping, or with the builder's message.
    """
    request, heads = read_request(spec), read_heads(spec)
    # The shapes that heads are made for are in no profile: exits need the build.
    profile = None if heads else find_profile(request, cache_dir)
    if profile is not None:
        return profile.outline.table(request.name, profile.outline.places(request.unit_flops))
    built = ensure_built(request, cache_dir)
    table = built.outline.table(request.name, built.outline.places(request.unit_flops))
    check_units(heads, len(table))
    return with_heads(table, ensure_heads(request, built, heads))
