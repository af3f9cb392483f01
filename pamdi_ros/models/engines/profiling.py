# SPDX-License-Identifier: Apache-2.0
"""Make a model's profile from its build, and measure its units on a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
import platform
import statistics
from time import perf_counter
from typing import Any

import numpy as np
from pamdi_ros.models.build import zoo
from pamdi_ros.models.build.meta_model import fake_module, trace_skeleton
from pamdi_ros.models.build.profiles import Profile
from pamdi_ros.models.build.request import ModelRequest
from pamdi_ros.models.engines.model import Model, TORCH
from pamdi_ros.models.engines.protocol import UnitEngine
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.graph.capture import CaptureError
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

WARM_UP = 3  # passes before the first that counts
#: Passes that are enough to decide which units are run in one go.
UNITS_ONLY = 3
Range = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitTime:
    """The time of one unit over all passes: median and quartiles [s]."""

    median_s: float
    lower_s: float
    upper_s: float


def profile_of(model: Model) -> Profile:
    """Return the profile of a model of the zoo.

    :raises ModelError: for a factory's model, whose source a profile cannot follow.
    """
    request, built = model.request, model.built
    if request.zoo is None:
        raise ModelError(
            'factory', request.factory, 'only models of the zoo have profiles',
            'The cache keeps the costs of this one.',
        )  # fmt: skip
    shape = None if request.tokens is not None else zoo.input_shape(request)
    default = None if shape is None else zoo.input_shape(replace(request, input_shape=None))
    return Profile(
        zoo=request.zoo,
        input_shape=shape,
        is_default=shape == default,
        tokens=request.tokens,
        arguments=dict(request.arguments),
        enums=tuple(_enums_without_effect(request, built.tracer, built.digest)),
        tracer=built.tracer,
        digest=built.digest,
        versions={
            package: metadata.version(package).partition('+')[0]
            for package in _libraries(request.zoo, built.tracer)
        },
        outline=built.outline,
    )


def pass_times(
    model: Model,
    engine: UnitEngine,
    ways: Mapping[str, Sequence[Range]],
    passes: int,
    progress: Callable[[], None] | None = None,
) -> dict[str, list[UnitTime]]:
    """Measure passes over a model, cut in several ways, in turns.

    :param engine: of the model; loads and frees what the ways need.
    :param ways: by name: ranges of units in order that cover the model. A text model's last unit
        runs on one position where it is a range of its own, as a worker runs it.
    :param passes: of each way that count, at least 1; WARM_UP more go before.
    :param progress: called after every pass.
    :returns: a time for each range, by way.
    """
    ranges = sorted({piece for way in ways.values() for piece in way})
    for first, last in ranges:
        engine.load(first, last)
    engine.prepare_thread()
    inputs = tuple(map(np.asarray, model.example_inputs()))
    seconds: dict[str, list[list[float]]] = {name: [[] for _ in way] for name, way in ways.items()}
    for index in range(WARM_UP + passes):
        for name, way in ways.items():
            tensors: tuple[Any, ...] = inputs
            for at, (first, last) in enumerate(way):
                if first == model.narrow_at:
                    tensors = (tensors[0][:, -1:], *tensors[1:])
                started = perf_counter()
                tensors, _ = engine.run(first, last, tensors)
                if index >= WARM_UP:
                    seconds[name][at].append(perf_counter() - started)
            if progress is not None:
                progress()
    return {name: list(map(_spread, times)) for name, times in seconds.items()}


def each_unit(model: Model) -> list[Range]:
    """Return every unit of a model as a range."""
    return [(unit, unit + 1) for unit in range(model.unit_count)]


def device_facts(engine: UnitEngine, threads: int) -> dict[str, object]:
    """Return what a measurement depends on: engine, device, threads, versions.

    :param threads: of one operation.
    """
    device = engine.device
    facts: dict[str, object] = {
        'engine': engine.name,
        'device': device,
        'name': _processor(),
        'threads': threads,
        'warm_up': WARM_UP,
    }
    if engine.name == TORCH:
        if device.startswith('cuda'):
            facts['name'] = torch.cuda.get_device_name(device)
        facts['interop_threads'] = torch.get_num_interop_threads()
        facts['torch'] = torch.__version__
    else:
        facts['onnxruntime'] = metadata.version('onnxruntime')
    return facts


def _spread(times: list[float]) -> UnitTime:
    if len(times) < 2:
        return UnitTime(median_s=times[0], lower_s=times[0], upper_s=times[0])
    lower, median, upper = statistics.quantiles(times, n=4, method='inclusive')
    return UnitTime(median_s=median, lower_s=lower, upper_s=upper)


def _processor() -> str:
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as lines:
            return next(line.split(':')[1].strip() for line in lines if 'model name' in line)
    except (OSError, StopIteration):  # a Jetson's has no such line
        return platform.processor() or platform.machine()


def _libraries(name: str, tracer: str) -> tuple[str, ...]:
    """Return the libraries whose code the graph's operations come from."""
    own = {'gpt2': ('transformers',), 'resnet56': ()}.get(name, ('torchvision',))
    return own if tracer == 'fx' else (*own, 'torch')


def _enums_without_effect(request: ModelRequest, tracer: str, digest: str) -> Iterator[str]:
    """Yield torchvision's weights by name with which the architecture is the same.

    Some change it (auxiliary heads, another image size): then a profile must not speak for them.
    """
    if request.zoo in zoo.OWN_NAMES:
        return
    from torchvision.models import get_model_weights

    same: set[str] = set()
    for name, entry in get_model_weights(str(request.zoo)).__members__.items():
        if entry.name not in same:  # an alias, such as DEFAULT, follows what it stands for
            mode = FakeTensorMode()
            try:
                module = fake_module(request, entry, mode)
                flow = trace_skeleton(request, module, tracer, mode)
            except (CaptureError, ModelError):
                continue
            if flow.digest() != digest:
                continue
            same.add(entry.name)
        yield name
