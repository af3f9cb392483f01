# SPDX-License-Identifier: Apache-2.0
"""A model's specification, checked, and the key under which its build is cached. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
import hashlib
from importlib import metadata
import importlib.machinery
import json
from pathlib import Path
import re

from pamdi_ros.fleet.document import DEFAULT_TOKENS, TEXT_ZOO
from pamdi_ros.models.errors import ModelError

FORMAT = 3  # of a cache entry; raise it whenever graph, cuts or files change their meaning
FILE_SUFFIXES = ('.safetensors', '.pt', '.pth')


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRequest:
    """What defines a model's graph and weights; read it with :func:`read_request`.

    :param zoo: name of a known architecture; None where `factory` is given.
    :param factory: ``package.module:function`` that returns the nn.Module.
    :param input_shape: shape of one input without the batch; None: the architecture's default.
    :param tokens: positions of a text model; None for others.
    :param weights: ``seed:N``, the absolute path of a file, or the name of a torchvision enum.
    :param arguments: keyword arguments to the constructor.
    :param unit_flops: largest wanted size of a unit [FLOP]; None: no other limit than the model's.
    """

    zoo: str | None
    factory: str | None
    input_shape: tuple[int, ...] | None
    tokens: int | None
    weights: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    unit_flops: int | None = None

    @property
    def name(self) -> str:
        """Return the zoo's name or the factory."""
        return self.zoo or self.factory or ''

    @property
    def seed(self) -> int | None:
        """Return N of ``seed:N``, None for other weights."""
        return int(self.weights[5:]) if self.weights.startswith('seed:') else None

    @property
    def weights_file(self) -> Path | None:
        """Return the weights' file, None where they come from a seed or an enum."""
        return Path(self.weights) if self.weights.endswith(FILE_SUFFIXES) else None

    def to_json(self) -> str:
        """Return the request as JSON text that `read_request(json.loads(...))` understands."""
        return json.dumps({k: v for k, v in asdict(self).items() if v is not None}, sort_keys=True)

    def key(self) -> str:
        """Return the name of the request's cache entry: it changes with all that shapes it."""
        # Units are cut out of a build when it is read: one build serves every size of them.
        whole = replace(self, unit_flops=None)
        parts: dict[str, object] = {'format': FORMAT, 'request': whole.to_json()}
        for package in ('torch', 'torchvision', 'transformers'):
            if self.zoo is None or package != ('torchvision' if self.tokens else 'transformers'):
                parts[package] = _version(package)
        if self.factory is not None:
            parts['source'] = source_digest(self.factory.partition(':')[0])
        if self.weights_file is not None and self.weights_file.exists():
            stat = self.weights_file.stat()
            parts['file'] = (stat.st_size, stat.st_mtime_ns)
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return f'{re.sub(r"[^A-Za-z0-9_]+", "_", self.name)}-{digest[:16]}'


def read_request(mapping: Mapping[str, object]) -> ModelRequest:
    """Check a model's mapping of fleet.yaml; keys that do not shape the graph are ignored.

    :param mapping: ``zoo`` or ``factory``, and ``input_shape``, ``tokens``, ``weights``,
        ``arguments``, ``unit_flops``.
    :returns: the checked request, paths made absolute.
    :raises ModelError: for a field that is missing, contradictory or of a wrong type.
    """
    zoo, factory = mapping.get('zoo'), mapping.get('factory')
    if (zoo is None) == (factory is None):
        raise ModelError('zoo', zoo, 'a model needs either zoo or factory', 'Give exactly one.')
    if zoo is not None and not (isinstance(zoo, str) and zoo):
        raise ModelError('zoo', zoo, 'must be the name of a model', 'For example resnet50.')
    if factory is not None and not (
        isinstance(factory, str) and re.fullmatch(r'[\w.]+:[A-Za-z_][\w.]*', factory)
    ):
        raise ModelError(
            'factory',
            factory,
            'must read package.module:function',
            'For example my_pkg.nets:make.',
        )
    tokens = _tokens(mapping.get('tokens'), zoo)
    shape = _shape(mapping.get('input_shape'))
    if tokens is not None and shape is not None:
        raise ModelError('input_shape', shape, 'a text model has tokens instead', 'Remove it.')
    if factory is not None and tokens is None and shape is None:
        raise ModelError(
            'input_shape', None, 'a factory needs it', 'Give it without batch: [3, 224, 224].'
        )
    arguments = mapping.get('arguments') or {}
    if not isinstance(arguments, Mapping):
        raise ModelError('arguments', arguments, 'must be a mapping of keyword arguments')
    try:
        json.dumps(dict(arguments))
    except TypeError as error:
        raise ModelError('arguments', arguments, f'must be plain data: {error}') from None
    return ModelRequest(
        zoo=zoo,
        factory=factory,
        input_shape=shape,
        tokens=tokens,
        weights=_weights(mapping.get('weights', 'seed:0'), mapping.get('bundle') is None),
        arguments=dict(arguments),
        unit_flops=_unit_flops(mapping.get('unit_flops')),
    )


def _tokens(value: object, zoo: str | None) -> int | None:
    if value is None:
        return DEFAULT_TOKENS if zoo in TEXT_ZOO else None
    if zoo is not None and zoo not in TEXT_ZOO:
        raise ModelError('tokens', value, f'{zoo} is no text model', 'Remove it.')
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ModelError('tokens', value, 'must be a positive integer', 'For example 64.')
    return value


def _unit_flops(value: object) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ModelError('unit_flops', value, 'must be a positive integer', 'In FLOP.')
    return value


def _shape(value: object) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise ModelError('input_shape', value, 'must be a list', 'For example [3, 224, 224].')
    if any(isinstance(d, bool) or not isinstance(d, int) or d < 1 for d in value):
        raise ModelError('input_shape', value, 'must hold positive integers', 'Without batch.')
    return tuple(value)


def _weights(value: object, has_file: bool) -> str:
    """Check the weights.

    :param has_file: a file must be there; a bundle has a copy.
    """
    if not isinstance(value, str) or not value:
        raise ModelError('weights', value, 'must be text', 'seed:N, a file or a torchvision enum.')
    if value.startswith('seed:'):
        if not re.fullmatch(r'seed:\d{1,18}', value):
            raise ModelError('weights', value, 'a seed is a whole number', 'For example seed:0.')
        return value
    if value.endswith(FILE_SUFFIXES):
        path = Path(value).expanduser().absolute()
        if has_file and not path.is_file():
            raise ModelError('weights', str(path), 'no such file', 'Check the path.')
        return str(path)
    if '/' in value or '.' in value.partition('_Weights.')[2] or Path(value).suffix in ('.bin',):
        raise ModelError(
            'weights', value, f'a weights file ends in one of {", ".join(FILE_SUFFIXES)}'
        )
    return value


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return 'absent'


def source_digest(module: str) -> str:
    """Digest a module's source file without importing it or its parents."""
    path: Sequence[str] | None = None
    spec = None
    for end in range(1, module.count('.') + 2):
        name = '.'.join(module.split('.')[:end])
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None:
            return 'unknown'
        path = spec.submodule_search_locations
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return 'unknown'
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()
