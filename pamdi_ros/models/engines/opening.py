# SPDX-License-Identifier: Apache-2.0
"""Which engine runs a model: as asked for, where it can; else torch, with the reason."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib import util
import os

from pamdi_ros.fleet.types import AUTO, ENGINES
from pamdi_ros.models.engines.host_process import default_threads
from pamdi_ros.models.engines.model import Model, ONNX_RUNTIME, TORCH
from pamdi_ros.models.engines.protocol import UnitEngine
from pamdi_ros.models.engines.providers import (
    check_installed,
    choose_providers,
    gpu_provider_is_there,
)
from pamdi_ros.models.errors import ModelError

#: Where a processor for torch's CUDA shows itself, on a PC and on a Jetson.
_GPUS = ('/dev/nvidia0', '/dev/nvhost-gpu', '/dev/nvmap')


def open_engine(
    model: Model,
    engine: str = AUTO,
    device: str = 'cpu',
    providers: Sequence[str] = (),
    threads: int = 0,
) -> tuple[UnitEngine, str]:
    """Return what runs a model's units, and why that is not ONNX Runtime.

    :param engine: ``auto`` is ``onnxruntime`` where it is installed and gives what torch gives,
        else ``torch``.
    :param device: as :func:`resolve_device` gives it.
    :param providers: of ONNX Runtime, in the order asked for; empty: what fits the device.
    :param threads: of one operation; 0: the engine's own choice.
    :returns: the engine; the reason, empty where torch was asked for or ONNX Runtime runs it.
    :raises ModelError: an engine or provider of another name; a model that neither can run.
    """
    if engine not in ENGINES:
        raise ModelError('engine', engine, f'must be one of {", ".join(ENGINES)}')
    reason = ''
    if engine != TORCH:
        try:
            return _on_onnx(model, engine, device, providers, threads), ''
        except ModelError as error:
            reason = f'{error.message}. {error.remedy}' if error.remedy else error.message
    if util.find_spec('torch') is None:
        raise ModelError(
            'engine', engine, f'{model.request.name} can be run by no engine here: '
            f'{reason or "torch is not installed"}',
            '' if reason else "pip install 'pamdi_ros[models]', or choose engine: onnxruntime.",
        )  # fmt: skip
    from pamdi_ros.models.engines.torch_engine import choose_device, TorchEngine

    return TorchEngine(model, choose_device(device), threads), reason


def _on_onnx(
    model: Model, engine: str, device: str, providers: Sequence[str], threads: int
) -> UnitEngine:
    check_installed()
    from pamdi_ros.models.engines.onnx_engine import OnnxEngine

    chosen = choose_providers(providers, device)
    if engine == AUTO and not providers and device != 'cpu' and chosen.names == ('cpu',):
        raise ModelError('providers', device, 'this ONNX Runtime computes on the processor alone')
    return OnnxEngine(model, chosen, threads or default_threads())


def preload(engines: Collection[str]) -> None:
    """Import what runs models of these engines, where it is installed: it takes a while."""
    if set(engines) != {TORCH} and util.find_spec(ONNX_RUNTIME) is not None:
        import pamdi_ros.models.engines.onnx_engine
    elif util.find_spec(TORCH) is not None:
        import pamdi_ros.models.engines.torch_engine  # noqa: F401


def resolve_device(wanted: str, engines: Collection[str]) -> str:
    """Return the device that a worker computes on; torch is asked only where it may know more.

    :param wanted: ``auto`` (a GPU if there is one, else cpu), ``cpu``, ``cuda`` or ``cuda:N``.
    :param engines: what the models of the worker ask for.
    :raises ModelError: a GPU is asked for and not there.
    """
    if wanted == 'cpu':
        return wanted
    only_torch = set(engines) == {TORCH}
    if not only_torch and gpu_provider_is_there():
        return 'cuda:0' if wanted == 'auto' else wanted
    may_have_one = wanted != 'auto' or any(map(os.path.exists, _GPUS))
    if (only_torch or may_have_one) and util.find_spec('torch') is not None:
        from pamdi_ros.models.engines.torch_engine import choose_device

        return str(choose_device(wanted))
    if wanted != 'auto':
        raise ModelError(
            'device', wanted, 'there is neither torch nor a provider of ONNX Runtime for it',
            'Use device: auto or cpu.',
        )  # fmt: skip
    return 'cpu'
