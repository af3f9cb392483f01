# SPDX-License-Identifier: Apache-2.0
"""Execution providers of ONNX Runtime: which of those asked for are there, and their options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from pamdi_ros.models.build.cache import cache_root
from pamdi_ros.models.errors import ModelError

#: ONNX Runtime's names by those of a fleet file.
PROVIDERS = {
    'tensorrt': 'TensorrtExecutionProvider',
    'cuda': 'CUDAExecutionProvider',
    'openvino': 'OpenVINOExecutionProvider',
    'cpu': 'CPUExecutionProvider',
}
#: What brings a provider that this ONNX Runtime lacks.
_REMEDIES = {
    'tensorrt': "install onnxruntime-gpu and TensorRT (on a Jetson: NVIDIA's wheel)",
    'cuda': "install onnxruntime-gpu (on a Jetson: NVIDIA's wheel)",
    'openvino': 'install onnxruntime-openvino',
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenProviders:
    """What sessions are made with.

    :param names: of the fleet file, those that are there, in the order asked for.
    :param options: ONNX Runtime's names with their options; the last is the CPU, which runs what
        the others cannot.
    :param missing: what was asked for and is not there: 'cuda: what to do'.
    """

    names: tuple[str, ...]
    options: tuple[tuple[str, Mapping[str, str]], ...]
    missing: tuple[str, ...]


def check_installed() -> None:
    """Check that ONNX Runtime can be imported.

    :raises ModelError: with what to install.
    """
    if util.find_spec('onnxruntime') is None:
        raise ModelError(
            'engine', 'onnxruntime', 'it is not installed',
            "pip install 'pamdi_ros[onnx]' (on a Jetson NVIDIA's own onnxruntime), or choose "
            'engine: torch.',
        )  # fmt: skip


def gpu_provider_is_there() -> bool:
    """Tell whether this ONNX Runtime computes on CUDA."""
    if util.find_spec('onnxruntime') is None:
        return False
    import onnxruntime

    return PROVIDERS['cuda'] in onnxruntime.get_available_providers()


def choose_providers(asked: Sequence[str], device: str) -> ChosenProviders:
    """Return the providers that are there of those asked for.

    :param asked: names of the fleet file, in order; empty: ``cuda`` where the device is one and
        it is there, and ``cpu``.
    :param device: of the worker: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    :raises ModelError: one of another name.
    """
    import onnxruntime

    for name in asked:
        if name not in PROVIDERS:
            raise ModelError('providers', name, f'must be one of {", ".join(PROVIDERS)}')
    there = onnxruntime.get_available_providers()
    wanted = tuple(dict.fromkeys(asked))
    if not wanted:
        wanted = ('cpu',) if device == 'cpu' else ('cuda', 'cpu')
    names = tuple(name for name in wanted if PROVIDERS[name] in there)
    missing = tuple(
        f'{name} is not in this ONNX Runtime: {_REMEDIES[name]}'
        for name in wanted
        if name not in names and name in asked
    )
    if 'cpu' not in names:
        names = (*names, 'cpu')
    number = device.partition(':')[2] or '0'
    return ChosenProviders(
        names=names,
        options=tuple((PROVIDERS[name], _options(name, number)) for name in names),
        missing=missing,
    )


def _options(name: str, number: str) -> Mapping[str, str]:
    """Return a provider's options, as ONNX Runtime documents them.

    :param number: of the GPU.
    """
    if name == 'tensorrt':
        return {
            'device_id': number,
            'trt_engine_cache_enable': '1',
            'trt_engine_cache_path': str(engine_cache()),
            'trt_timing_cache_enable': '1',
            'trt_timing_cache_path': str(engine_cache()),
        }
    if name == 'cuda':
        return {'device_id': number, 'arena_extend_strategy': 'kSameAsRequested'}
    return {}


def engine_cache() -> Path:
    """Return where TensorRT's engines are kept: by board and version, for they fit no other.

    Of the models the runtime itself tells them apart.
    """
    board = Path('/proc/device-tree/model')
    try:
        name = board.read_text(encoding='utf-8', errors='replace').strip('\0\n ')
    except OSError:  # no board: a PC with a card
        name = 'pc'
    try:
        version = metadata.version('tensorrt')
    except metadata.PackageNotFoundError:
        version = 'system'
    folder = '-'.join(f'{name} {version}'.split())
    return cache_root().parent / 'tensorrt' / folder.replace('/', '-')
