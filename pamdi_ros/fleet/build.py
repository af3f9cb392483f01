# SPDX-License-Identifier: Apache-2.0
"""A checked fleet mapping as a frozen Fleet; here milliseconds become seconds, MB bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import math
from pathlib import Path
from typing import Any, cast

from pamdi_ros.fleet.document import DEFAULT_LIFESPAN_MS, DEFAULT_TOKENS, TEXT_ZOO
from pamdi_ros.fleet.frozen import freeze, FrozenDict
from pamdi_ros.fleet.policy import PolicyParameters
from pamdi_ros.fleet.types import (
    AUTO,
    CLOUD_TYPE,
    Event,
    Exit,
    Fleet,
    Link,
    Links,
    ModelSpec,
    Preprocess,
    PriorityClass,
    Qos,
    RangeImage,
    Source,
    Worker,
)

Table = Mapping[str, Any]

BYTES_PER_MB = 1e6
BYTES_PER_S_PER_MBPS = 1e6 / 8
S_PER_MS = 1e-3
FLOP_PER_GFLOP = 1e9

DEFAULT_ACCURACY_GAIN_MS = 1000.0
WEIGHTS_SUFFIXES = ('.safetensors', '.pt', '.pth')
GREY_MEAN, GREY_STD = (0.449,), (0.226,)  # ImageNet's, averaged over the channels


def build_fleet(mapping: Table, base: Path | None = None) -> Fleet:
    """Fleet that a mapping describes.

    :param mapping: free of problems: see ``parse_fleet``
    :param base: directory that relative weights and labels files lie under; None: left relative
    """
    classes = tuple(
        _priority_class(name, rank, entry)
        for rank, (name, entry) in enumerate(mapping['priority_classes'].items())
    )
    workers = {name: _worker(name, entry) for name, entry in mapping['workers'].items()}
    unit_flops = flops_within(
        _quantum_s(mapping), (worker.seconds_per_flop for worker in workers.values())
    )
    models = {
        name: _model(name, entry, base, unit_flops) for name, entry in mapping['models'].items()
    }
    by_name = {priority_class.name: priority_class for priority_class in classes}
    sources = {
        name: _source(name, entry, by_name[entry['priority']].qos, models[entry['model']])
        for name, entry in mapping['sources'].items()
    }
    gain_ms = mapping.get('objective', {}).get('accuracy_gain', DEFAULT_ACCURACY_GAIN_MS)
    events = (_event(entry) for entry in mapping.get('events', ()))
    fleet = Fleet(
        name=mapping['fleet'],
        accuracy_gain=gain_ms * S_PER_MS,
        policy=mapping.get('policy', 'pa_mdi_plus'),
        policy_parameters=_frozen(mapping.get('policy_parameters', {})),
        priority_classes=classes,
        models=FrozenDict(models),
        workers=FrozenDict(workers),
        links=_links(mapping.get('links', {})),
        sources=FrozenDict(sources),
        events=tuple(sorted(events, key=lambda event: event.at_s)),
    )
    bundle = mapping.get('bundle')
    return fleet if bundle is None else fleet.with_bundle(_file(bundle, base))


def flops_within(quantum_s: float, speeds: Iterable[float | None]) -> int | None:
    """Return the work that the slowest worker does within a quantum.

    Rounded down to two digits, so that fleets of nearly equal speeds cut their models alike.

    :param quantum_s: longest wanted time of a unit [s]
    :param speeds: seconds per FLOP of the workers; None: not declared
    :returns: at least 1 [FLOP]; None: no worker declares its speed
    """
    slowest = max((speed for speed in speeds if speed is not None), default=0.0)
    if slowest <= 0 or not math.isfinite(exact := quantum_s / slowest):
        return None
    whole = int(exact * (1 + 1e-9))  # 0.008 / 2e-11 shall not end just below 400 MFLOP
    step: int = 10 ** max(0, len(str(whole)) - 2)
    return max(1, whole // step * step)


def _quantum_s(mapping: Table) -> float:
    value = mapping.get('policy_parameters', {}).get('quantum_s')
    usable = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if usable and 0 <= value < 1e9 else PolicyParameters().quantum_s


def _fraction(value: float | None) -> float | None:
    return None if value is None else float(value)


def _frozen(value: object) -> FrozenDict[str, object]:
    return cast('FrozenDict[str, object]', freeze(value))


def _seconds(entry: Table, key: str) -> float | None:
    """Milliseconds of a key in seconds; None where it is absent."""
    return entry[key] * S_PER_MS if key in entry else None


def _priority_class(name: str, rank: int, entry: Table) -> PriorityClass:
    qos = entry.get('qos', {})
    return PriorityClass(
        name=name,
        weight=float(entry['weight']),
        rank=rank,
        qos=Qos(
            reliability=qos.get('reliability', 'reliable'),
            depth=int(qos.get('depth', 4)),
            deadline_s=_seconds(qos, 'deadline_ms'),
            lifespan_s=_seconds(qos, 'lifespan_ms'),
        ),
    )


def _model(name: str, entry: Table, base: Path | None, unit_flops: int | None) -> ModelSpec:
    zoo, shape = entry.get('zoo'), entry.get('input_shape')
    tokens = entry.get('tokens', DEFAULT_TOKENS if zoo in TEXT_ZOO else None)
    weights, labels = entry.get('weights', 'seed:0'), entry.get('labels')
    if weights.endswith(WEIGHTS_SUFFIXES):
        weights = _file(weights, base)
    if labels is not None and labels != 'builtin':
        labels = _file(labels, base)
    return ModelSpec(
        name=name,
        zoo=zoo,
        factory=entry.get('factory'),
        input_shape=tuple(int(size) for size in shape) if shape is not None else None,
        tokens=int(tokens) if tokens is not None else None,
        max_new_tokens=int(entry.get('max_new_tokens', 1)),
        weights=weights,
        labels=labels,
        exits=tuple(
            Exit(
                unit=int(exit_['unit']),
                accuracy=float(exit_['accuracy']),
                head=exit_.get('head'),
                threshold=_fraction(exit_.get('threshold')),
            )
            for exit_ in entry.get('exits', ())
        ),
        accuracy=_fraction(entry.get('accuracy')),
        arguments=_frozen(entry.get('arguments', {})),
        engine=entry.get('engine', AUTO),
        providers=tuple(entry.get('providers', ())),
        unit_flops=unit_flops,
    )


def _file(name: str, base: Path | None) -> str:
    """Path of a file that the fleet file names, relative to the fleet file's directory."""
    path = Path(name).expanduser() if name.startswith('~/') else Path(name)
    return str(path if base is None else base / path)


def _worker(name: str, entry: Table) -> Worker:
    memory_mb, ms_per_gflop = entry.get('memory_mb'), entry.get('ms_per_gflop')
    return Worker(
        name=name,
        device=entry.get('device', 'auto'),
        memory_bytes=round(memory_mb * BYTES_PER_MB) if memory_mb is not None else None,
        seconds_per_flop=(
            ms_per_gflop * S_PER_MS / FLOP_PER_GFLOP if ms_per_gflop is not None else None
        ),
        overhead_s=entry.get('overhead_ms', 0.0) * S_PER_MS,
        emulate=entry.get('emulate', False),
        compute=entry.get('compute', 'real'),
        engine=entry.get('engine', AUTO),
        providers=tuple(entry.get('providers', ())),
        threads=int(entry.get('threads', 0)),
    )


def _link(entry: Table) -> Link:
    return Link(
        bandwidth_bytes_per_s=entry['bandwidth_mbps'] * BYTES_PER_S_PER_MBPS,
        latency_s=entry.get('latency_ms', 0.0) * S_PER_MS,
    )


def _links(entry: Table) -> Links:
    default = entry.get('default')
    return Links(
        default=_link(default) if default is not None else None,
        shared=default.get('shared', False) if default is not None else False,
        pairs=FrozenDict(
            {frozenset(pair['between']): _link(pair) for pair in entry.get('pairs', ())}
        ),
    )


def _source(name: str, entry: Table, qos: Qos, model: ModelSpec) -> Source:
    own_deadline_s, own_lifespan_s = _seconds(entry, 'deadline_ms'), _seconds(entry, 'lifespan_ms')
    lifespan_s = own_lifespan_s if own_lifespan_s is not None else qos.lifespan_s
    is_cloud = entry['type'] == CLOUD_TYPE
    return Source(
        name=name,
        worker=entry['worker'],
        topic=entry['topic'],
        type=entry['type'],
        model=entry['model'],
        priority=entry['priority'],
        rate_hz=entry.get('rate_hz'),
        load_share=entry.get('load_share'),
        arrival=entry.get('arrival', 'periodic'),
        deadline_s=own_deadline_s if own_deadline_s is not None else qos.deadline_s,
        lifespan_s=lifespan_s if lifespan_s is not None else DEFAULT_LIFESPAN_MS * S_PER_MS,
        publish_outputs=entry.get('publish_outputs', False),
        top_k=int(entry.get('top_k', 5)),
        preprocess=_preprocess(entry.get('preprocess', {}), model),
        range_image=_range_image(entry.get('range_image', {})) if is_cloud else None,
    )


def _preprocess(entry: Table, model: ModelSpec) -> Preprocess:
    default = Preprocess()
    if model.input_shape is not None and model.input_shape[0] == 1:
        default = Preprocess(mean=GREY_MEAN, std=GREY_STD)
    side = entry.get('resize')
    return Preprocess(
        mode=entry.get('mode', default.mode),
        resize=int(side) if side is not None else None,
        mean=tuple(float(value) for value in entry.get('mean', default.mean)),
        std=tuple(float(value) for value in entry.get('std', default.std)),
    )


def _range_image(entry: Table) -> RangeImage:
    default = RangeImage()
    down_deg, up_deg = entry.get(
        'fov_deg', (math.degrees(default.fov_down_rad), math.degrees(default.fov_up_rad))
    )
    return RangeImage(
        rows=int(entry.get('rows', default.rows)),
        columns=int(entry.get('columns', default.columns)),
        fov_up_rad=math.radians(up_deg),
        fov_down_rad=math.radians(down_deg),
    )


def _event(entry: Table) -> Event:
    action = next(key for key in entry if key != 'at_s')
    value = entry[action]
    link = value if action == 'set_link' else {}
    return Event(
        at_s=float(entry['at_s']),
        action=action,
        worker=value if isinstance(value, str) else None,
        priorities=FrozenDict(value if action == 'set_priority' else {}),
        rates_hz=FrozenDict(value if action == 'set_rate' else {}),
        speeds=FrozenDict(value if action == 'set_speed' else {}),
        between=frozenset(link['between']) if link else None,
        link=_link(link) if 'bandwidth_mbps' in link else None,
        replan=action == 'replan',
        slow_loads=FrozenDict(value if action == 'slow_load' else {}),
        clock_jumps=FrozenDict(value if action == 'clock_jump' else {}),
    )
