# SPDX-License-Identifier: Apache-2.0
"""Architectures by name: the whole module, with seeded or downloaded weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
import difflib
import importlib
import inspect
from typing import Any
from unittest import mock
import warnings

from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.build.inputs import random_inputs
from pamdi_ros.models.build.request import ModelRequest
import torch
from torch import nn, Tensor

OWN_NAMES = ('gpt2', 'resnet56')


def build_module(request: ModelRequest) -> nn.Module:
    """Return the whole upstream module in eval mode with the weights that the request names.

    For ``seed:N`` that is ``torch.manual_seed(N)``, then the constructor; the caller's random
    state is left as it was. A weights file is loaded by :mod:`pamdi_ros.models.build.weights`.

    :raises ModelError: for an unknown name, an unknown enum or a constructor that fails.
    """
    enum = weights_enum(request)
    with torch.random.fork_rng(devices=[]), enum_state(_download):
        torch.manual_seed(request.seed or 0)
        module = construct(request, enum)
    return module.eval().requires_grad_(False)


def input_tensors(request: ModelRequest) -> tuple[Tensor, ...]:
    """Return one random input of the model's shape, the same at every call."""
    shape = (request.tokens,) if request.tokens is not None else input_shape(request)
    return random_inputs(request, (1, *shape))


def input_shape(request: ModelRequest) -> tuple[int, ...]:
    """Return the shape of one input without batch, the architecture's default where not set."""
    if request.input_shape is not None:
        return request.input_shape
    if request.zoo == 'resnet56':
        return (3, 32, 32)
    if request.zoo == 'inception_v3':
        return (3, 299, 299)
    if '.segmentation.' in getattr(_torchvision_builder(request), '__module__', ''):
        return (3, 520, 520)
    return (3, 224, 224)


def categories(request: ModelRequest) -> tuple[str, ...]:
    """Return the class names of torchvision's own weights for this architecture, else ()."""
    if request.zoo is None or request.zoo in OWN_NAMES:
        return ()
    from torchvision.models import get_model_weights

    enum = weights_enum(request)
    for entry in (enum,) if enum is not None else get_model_weights(request.zoo):
        names = entry.meta.get('categories') or ()
        if names:
            return tuple(str(name) for name in names)
    return ()


def construct(request: ModelRequest, enum: Any) -> nn.Module:
    """Run the upstream constructor.

    :param enum: member of a torchvision weights enum, or None.
    :raises ModelError: where it fails.
    """
    make: Callable[..., Any]
    arguments: dict[str, Any] = dict(request.arguments)
    if request.factory is not None:
        make = import_callable('factory', request.factory)
    elif request.zoo == 'resnet56':
        from pamdi_ros.models.build.resnet56 import ResNet56

        make = ResNet56
    elif request.zoo == 'gpt2':
        return _gpt2(request, arguments)
    else:
        make = _torchvision_builder(request)
        arguments['weights'] = enum
        if 'weights_backbone' in inspect.signature(make).parameters:
            arguments.setdefault('weights_backbone', None)  # its default asks the network
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # init_weights of googlenet and inception
            module = make(**arguments)
    except Exception as error:
        field = 'arguments' if enum is None else 'weights'
        value: object = dict(request.arguments) if enum is None else request.weights
        raise ModelError(
            field, value, f'{request.name} cannot be built: {type(error).__name__}: {error}'
        ) from error
    if not isinstance(module, nn.Module):
        raise ModelError('factory', request.factory, f'gave {type(module)}, not an nn.Module')
    return module


def _gpt2(request: ModelRequest, arguments: dict[str, Any]) -> nn.Module:
    try:
        from transformers import GPT2Config, GPT2LMHeadModel
    except ImportError as error:
        raise ModelError(
            'zoo', 'gpt2', f'transformers is not usable: {error}', 'pip install transformers.'
        ) from None
    known = inspect.signature(GPT2Config).parameters
    for name in arguments:
        if name not in known:
            raise ModelError('arguments', name, 'GPT2Config has no such argument')
    config = GPT2Config(**{**arguments, 'use_cache': False})
    if request.tokens is not None and request.tokens > config.n_positions:
        raise ModelError('tokens', request.tokens, f'gpt2 has {config.n_positions} positions')
    return GPT2LMHeadModel(config)


def import_callable(field: str, path: str) -> Callable[..., Any]:
    """Import ``package.module:function`` of the user's.

    :param field: of the model's mapping that names it.
    :raises ModelError: it cannot be imported or called.
    """
    module_name, _, name = path.partition(':')
    try:
        target: Any = importlib.import_module(module_name)
        for part in name.split('.'):
            target = getattr(target, part)
    except Exception as error:  # the user's module may raise anything while it is imported
        raise ModelError(
            field,
            path,
            f'cannot be imported: {type(error).__name__}: {error}',
            'Its package must be on PYTHONPATH (or installed) on every worker.',
        ) from error
    if not callable(target):
        raise ModelError(field, path, 'is not callable', 'Name a function or class.')
    return target


def _torchvision_builder(request: ModelRequest) -> Callable[..., Any]:
    from torchvision import models

    if request.zoo is None or request.zoo in OWN_NAMES:
        return nn.Module
    try:
        return models.get_model_builder(request.zoo)
    except ValueError:
        names = [*models.list_models(), *OWN_NAMES]
        close = difflib.get_close_matches(request.zoo.lower(), names, n=3)
        raise ModelError(
            'zoo',
            request.zoo,
            'no such model',
            f'Did you mean {" or ".join(close)}?' if close else 'Any torchvision name, or gpt2.',
        ) from None


def weights_enum(request: ModelRequest) -> Any:
    """Return the torchvision enum member that the request's weights name, None for others."""
    if request.seed is not None or request.weights_file is not None:
        return None
    if request.zoo is None or request.zoo in OWN_NAMES:
        raise ModelError(
            'weights', request.weights, f'{request.name} has no torchvision weights',
            'Give seed:N or a .safetensors / .pt file.',
        )  # fmt: skip
    from torchvision.models import get_model_weights

    _torchvision_builder(request)
    enum = get_model_weights(request.zoo)
    name = request.weights.rpartition('.')[2]
    if name not in enum.__members__:  # __members__ has the alias DEFAULT too
        raise ModelError(
            'weights', request.weights, f'{request.zoo} has no such weights',
            f'Give seed:N, a file, or one of {", ".join(enum.__members__) or "(none)"}.',
        )  # fmt: skip
    return enum[name]


def _download(weights: Any) -> Mapping[str, Any]:
    """Return an enum's state dict through torch.hub's cache, never unpickling objects."""
    from torch.hub import load_state_dict_from_url

    state: Mapping[str, Any] = load_state_dict_from_url(
        weights.url, progress=False, check_hash=True, map_location='cpu', weights_only=True
    )
    return state


@contextlib.contextmanager
def enum_state(load: Callable[[Any], Mapping[str, Any]] | None) -> Iterator[None]:
    """Decide what a torchvision constructor's own weights loading does; None: it loads nothing.

    The constructors are the only place that knows which layers an enum's weights bring or drop
    (GoogLeNet's auxiliary heads, DenseNet's old names), hence they run unchanged.
    """
    from torchvision.models import WeightsEnum

    def state(weights: Any, *_: Any, **__: Any) -> Mapping[str, Any]:
        return load(weights) if load is not None else {}

    with mock.patch.object(WeightsEnum, 'get_state_dict', state):
        if load is not None:
            yield
            return
        with mock.patch.object(nn.Module, 'load_state_dict', lambda *_, **__: None):
            yield
