# SPDX-License-Identifier: Apache-2.0
"""Times of units as this host measured them, kept on disk for the next start.

One JSON file for each host, device and number of threads, beneath the cache directory: what
one of them measured says little of another. A model is known by what its build is known by, so
that another input size, other weights or another torch begin anew. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib import util
import json
import math
import os
from pathlib import Path
import re

import filelock
from pamdi_ros.fleet import ModelSpec, Worker
from pamdi_ros.fleet.types import AUTO
from pamdi_ros.models.build.cache import cache_root
from pamdi_ros.models.build.request import read_request
from pamdi_ros.models.errors import ModelError

#: Seconds by unit.
UnitSeconds = Mapping[int, float]

FORMAT = 1
#: Longest wait for another executor that writes [s].
LOCK_PATIENCE_S = 5.0


def speed_file(
    host: str, device: str, threads: int, cache_dir: str | os.PathLike[str] | None = None
) -> Path:
    """Return where the figures of a device of a host are.

    :param host: name of the host, as the machine itself says it.
    :param device: as torch says it, such as ``cpu`` or ``cuda:0``.
    :param threads: of one operation.
    :param cache_dir: None: $PAMDI_CACHE, else ~/.cache/pamdi_ros.
    """
    name = '-'.join(re.sub(r'[^A-Za-z0-9_]+', '_', part) for part in (host, device, str(threads)))
    return cache_root(cache_dir).parent / 'speeds' / f'{name}.json'


def read(
    path: Path, worker: Worker, models: Mapping[str, ModelSpec]
) -> tuple[dict[str, dict[int, float]], str]:
    """Return the kept figures of a fleet's models, and what is wrong with the file.

    :param path: of :func:`speed_file`.
    :param worker: that the figures are for; an emulated one is as fast as it is declared.
    :param models: of the fleet, by name.
    :returns: seconds by unit, by model name; a warning, empty where there is none.
    """
    if not is_kept(worker):
        return {}, ''
    kept, warning = _read(path)
    keys = {name: _key(spec, worker) for name, spec in models.items()}
    return {name: kept[key] for name, key in keys.items() if key in kept}, warning


def write(
    path: Path, worker: Worker, models: Mapping[str, ModelSpec], unit_s: Mapping[str, UnitSeconds]
) -> str:
    """Keep figures beside those of other models that the file has; in one step.

    :param unit_s: seconds by unit, by model name; units left out keep what they had.
    :returns: a warning: why it could not be written; empty where it was.
    """
    if not is_kept(worker) or not unit_s:
        return ''
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f'{path}.lock', timeout=LOCK_PATIENCE_S):
            keys = {name: _key(models[name], worker) for name in unit_s if name in models}
            return _add(path, keys, unit_s)
    except (OSError, filelock.Timeout) as error:
        return f'measured unit times are not kept, {path} cannot be written: {error}'


def _add(path: Path, keys: Mapping[str, str], unit_s: Mapping[str, UnitSeconds]) -> str:
    """Write figures beside those that the file has; several executors share it, one at a time."""
    kept, _ = _read(path)  # a damaged file is replaced
    for name, times in unit_s.items():
        key = keys.get(name, '')
        if key and (good := _checked(dict(times))):
            kept[key] = kept.get(key, {}) | good
    plain = {
        'format': FORMAT,
        'models': {
            key: {str(unit): times[unit] for unit in sorted(times)} for key, times in kept.items()
        },
    }
    unfinished = path.with_name(f'{path.name}.{os.getpid()}')
    try:
        unfinished.write_text(json.dumps(plain, indent=1), encoding='utf-8')
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        return f'measured unit times are not kept, {path} cannot be written: {error}'
    return ''


def is_kept(worker: Worker) -> bool:
    """Return whether a worker's times say something of its host: it computes, at its own pace."""
    return not worker.emulate and worker.compute != 'none'


def _key(spec: ModelSpec, worker: Worker) -> str:
    """Return what a model's figures are kept under; empty where the model cannot be used.

    Another engine, or one that was installed since, begins anew.
    """
    engine = worker.engine if spec.engine == AUTO else spec.engine
    if engine == AUTO:
        engine += '+onnxruntime' if util.find_spec('onnxruntime') is not None else '-onnxruntime'
    try:
        request = read_request(spec.as_mapping())
    except ModelError:
        return ''
    return f'{request.key()}-{request.unit_flops or "finest"}-{engine}'


def _read(path: Path) -> tuple[dict[str, dict[int, float]], str]:
    try:
        plain = json.loads(path.read_text(encoding='utf-8'))
        if plain['format'] != FORMAT:
            return {}, ''  # of another version
        return {
            str(key): _checked({int(unit): float(s) for unit, s in times.items()})
            for key, times in plain['models'].items()
        }, ''
    except FileNotFoundError:
        return {}, ''
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        return {}, f'measured unit times in {path} are passed over, they cannot be read: {error!r}'


def _checked(times: Mapping[int, float]) -> dict[int, float]:
    """Return the times that can be."""
    return {unit: s for unit, s in times.items() if unit >= 0 and s > 0 and math.isfinite(s)}
