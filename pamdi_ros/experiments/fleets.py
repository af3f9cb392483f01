# SPDX-License-Identifier: Apache-2.0
"""Fleets of the experiments, as fleet files: Xaviers and Nanos in a mesh, a ring or a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

from pamdi_ros.fleet import config_path, Fleet, parse_fleet, PolicyParameters
from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.models.units import UnitTable
import yaml

#: Content of a fleet file.
Document: TypeAlias = dict[str, Any]

#: Speeds of a Jetson AGX Xavier and a Nano, in GFLOP of which a multiply-add counts two.
XAVIER = {'memory_mb': 4096, 'ms_per_gflop': 4.0, 'overhead_ms': 0.15}
NANO = {'memory_mb': 4096, 'ms_per_gflop': 20.0, 'overhead_ms': 0.3}
#: The devices compute nothing, so that the same file runs as real processes on one machine.
EMULATED = {'emulate': True, 'compute': 'none'}
#: Deep queues and long lifespans: a policy that is late must show it, not have it cut off.
PATIENT = {'reliability': 'reliable', 'depth': 64, 'lifespan_ms': 20000}
CLASSES = {
    'critical': {'weight': 16, 'qos': PATIENT},
    'normal': {'weight': 4, 'qos': PATIENT},
    'background': {'weight': 1, 'qos': PATIENT},
}
MODELS: dict[str, Any] = {
    'resnet56': {'zoo': 'resnet56', 'input_shape': [3, 64, 64]},  # 1 GFLOP, input 49 KB
    'resnet50': {'zoo': 'resnet50', 'input_shape': [3, 224, 224]},  # 8.2 GFLOP, input 602 KB
    'gpt2': {'zoo': 'gpt2', 'tokens': 64},  # 11 GFLOP, input 512 bytes
}


@dataclass(frozen=True, kw_only=True)
class Rig:
    """A fleet of an experiment, and the file from which anyone can simulate it.

    :param name: of the fleet.
    :param document: content of its fleet file.
    :param load: that the experiment sets by load_share; None: the rates are in the file.
    """

    name: str
    document: Document
    load: float | None = None

    @property
    def fleet(self) -> Fleet:
        """The fleet; the rates of sources with a load_share are still to be set."""
        return parse_fleet(self.document)

    def running(self, fleet: Fleet, parameters: PolicyParameters | None = None) -> Document:
        """Return the file from which real processes run a fleet of this one.

        :param fleet: tells the policy, which workers and sources there are, rates and classes.
        :param parameters: of the policy; None: the fleet's.
        """
        document = _own(self.document)
        document['policy'] = fleet.policy
        if parameters is not None:
            document['policy_parameters'] = {
                key: value
                for key, value in asdict(parameters).items()
                if value != getattr(PolicyParameters(), key)
            }
        for section, left in (('workers', fleet.workers), ('sources', fleet.sources)):
            document[section] = {n: e for n, e in document[section].items() if n in left}
        for name, entry in document['sources'].items():
            entry.pop('load_share', None)
            source = fleet.sources[name]
            entry.update(rate_hz=source.rate_hz, priority=source.priority)
        return dict(document)

    def write(self, directory: Path) -> Path:
        """Write its file, with the command that simulates it."""
        path = directory / f'{self.name}.yaml'
        load = '' if self.load is None else f' --load {self.load:g}'
        head = (
            f'# Written by pamdi experiment.\n#   pamdi simulate {path.name} --policy all{load}\n'
        )
        body = yaml.safe_dump(self.document, sort_keys=False, default_flow_style=None, width=99)
        path.write_text(head + body, encoding='utf-8')
        return path


def rig(
    name: str,
    workers: Mapping[str, Mapping[str, Any]],
    links: Document,
    sources: Document,
    *,
    load: float | None = None,
    **more: Any,
) -> Rig:
    """Return a fleet of emulated devices; its models are those that the sources name.

    :param workers: entries of the fleet file without the emulation.
    :param load: as in :class:`Rig`.
    :param more: further sections of the file, or others in place of the usual ones.
    """
    used = {source['model'] for source in sources.values()}
    document: Document = {
        'fleet': name,
        'priority_classes': CLASSES,
        'models': {model: MODELS[model] for model in MODELS if model in used},
        'workers': {worker: {**entry, **EMULATED} for worker, entry in workers.items()},
        'links': links,
        'sources': sources,
        **more,
    }
    return Rig(name=name, document=_own(document), load=load)


def scenario(name: str, load: float | None = None) -> Rig:
    """Return one of the shipped scenarios, such as ``s1``."""
    text = config_path(f'scenarios/{name}.yaml').read_text(encoding='utf-8')
    return Rig(name=name, document=yaml.safe_load(text), load=load)


def devices(**counts: int) -> dict[str, dict[str, Any]]:
    """Return workers by kind: ``devices(xavier=2, nano=1)`` has xavier1, xavier2 and nano1."""
    kinds = {'xavier': XAVIER, 'nano': NANO}
    return {
        f'{kind}{number}': dict(kinds[kind])
        for kind, count in counts.items()
        for number in range(1, count + 1)
    }


def source(worker: str, model: str, priority: str, **more: Any) -> Document:
    """Return a source's entry: its model decides what kind of messages it sends."""
    text = model == 'gpt2'
    return {
        'worker': worker,
        'topic': f'{priority}/{"text" if text else "image_raw"}',
        'type': 'std_msgs/msg/String' if text else 'sensor_msgs/msg/Image',
        'model': model,
        'priority': priority,
        'arrival': 'poisson',
        **more,
    }


def mesh(mbps: float, latency_ms: float) -> Document:
    """Return a link between any two workers."""
    return {'default': {'bandwidth_mbps': mbps, 'latency_ms': latency_ms}}


def line(workers: Sequence[str], mbps: float, latency_ms: float) -> Document:
    """Return links between neighbours only; all else is relayed."""
    link = {'bandwidth_mbps': mbps, 'latency_ms': latency_ms}
    return {'pairs': [{'between': [a, b], **link} for a, b in pairwise(workers)]}


def ring(workers: Sequence[str], mbps: float, latency_ms: float) -> Document:
    """Return a line that is closed."""
    return line([*workers, workers[0]], mbps, latency_ms)


def tables_of(fleet: Fleet) -> dict[str, UnitTable]:
    """Return the unit tables of the models that a fleet's sources use."""
    names = dict.fromkeys(source.model for source in fleet.sources.values())
    return {name: unit_table(fleet.models[name].as_mapping()) for name in names}


def _own(value: Any) -> Any:
    """Copy mappings and lists all the way down, so that no YAML anchors are written."""
    if isinstance(value, Mapping):
        return {key: _own(item) for key, item in value.items()}
    return [_own(item) for item in value] if isinstance(value, list) else value
