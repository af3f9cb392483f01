# SPDX-License-Identifier: Apache-2.0
"""Make a model's profile from its build, and measure its units on a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
import platform
import statistics
from time import perf_counter

from pamdi_ros.models.build import zoo
from pamdi_ros.models.build.meta_model import fake_module, trace_skeleton
from pamdi_ros.models.build.profiles import Profile
from pamdi_ros.models.build.request import ModelRequest
from pamdi_ros.models.engines.model import Model
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.graph.capture import CaptureError
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

WARM_UP = 3  # passes before the first that counts


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


def unit_times(
    model: Model, device: str, passes: int, progress: Callable[[], None] | None = None
) -> list[UnitTime]:
    """Measure every unit of a model in whole passes over it, as a worker runs them.

    :param device: such as ``cpu`` or ``cuda:0``.
    :param passes: that count, at least 1; WARM_UP more go before.
    :param progress: called after every pass.
    :returns: a time for each unit.
    """
    partition = model.partition(0, model.unit_count, device)
    inputs = tuple(map(partition.place, model.example_inputs()))
    seconds: list[list[float]] = [[] for _ in partition.units]
    for index in range(WARM_UP + passes):
        tensors = inputs
        for unit, run in enumerate(partition.units):
            if unit == model.narrow_at:
                tensors = (tensors[0][:, -1:], *tensors[1:])
            _finish(partition.device)
            started = perf_counter()
            with torch.inference_mode():
                tensors = run(*tensors)
            _finish(partition.device)
            if index >= WARM_UP:
                seconds[unit].append(perf_counter() - started)
        if progress is not None:
            progress()
    return [_spread(times) for times in seconds]


def device_facts(device: str, threads: int | None = None) -> dict[str, object]:
    """Return what a measurement depends on: the device's name, threads, versions.

    :param device: such as ``cpu`` or ``cuda:0``.
    :param threads: to compute with from now on; None: as many as torch has chosen.
    :raises ModelError: where there is no such device.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        kind = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # as torch puts it without CUDA
        raise ModelError('device', device, str(error).splitlines()[0]) from None
    return {
        'device': device,
        'name': torch.cuda.get_device_name(kind) if kind.type == 'cuda' else _processor(),
        'threads': torch.get_num_threads(),
        'interop_threads': torch.get_num_interop_threads(),
        'torch': torch.__version__,
        'warm_up': WARM_UP,
    }


def _finish(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


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
