# SPDX-License-Identifier: Apache-2.0
"""Profile files: a model's costs without the model, in config/profiles or made by a user.

A profile is made by :mod:`pamdi_ros.models.engines.profiling` (``pamdi profile``). No torch here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
from dataclasses import asdict, dataclass
import hashlib
from importlib import metadata
import json
import os
from pathlib import Path

from pamdi_ros.fleet.resources import config_path
from pamdi_ros.models.build.cache import cache_root
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.graph.outline import Outline
from pamdi_ros.models.build.request import ModelRequest

FORMAT = 1
FOLDER = 'profiles'
SUFFIX = '.json'


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """The costs of one architecture at one input shape, whatever its weights.

    :param input_shape: of one input, without batch; None for a text model.
    :param is_default: whether that is the architecture's shape where none is asked for.
    :param arguments: keyword arguments to the constructor.
    :param enums: torchvision's weights that leave the architecture as it is.
    :param tracer: which tracer made the graph.
    :param digest: of the flow.
    :param versions: of the libraries that the operations come from.
    """

    zoo: str
    input_shape: tuple[int, ...] | None
    is_default: bool
    tokens: int | None
    arguments: Mapping[str, object]
    enums: tuple[str, ...]
    tracer: str
    digest: str
    versions: Mapping[str, str]
    outline: Outline

    def covers(self, request: ModelRequest) -> bool:
        """Tell whether a request's build, here and now, would have these operations."""
        same_shape = request.input_shape == self.input_shape
        own_weights = request.seed is not None or request.weights_file is not None
        return (
            request.zoo == self.zoo
            and request.tokens == self.tokens
            and dict(request.arguments) == dict(self.arguments)
            and (same_shape or (request.input_shape is None and self.is_default))
            and (own_weights or request.weights.rpartition('.')[2] in self.enums)
            and all(_fits(name, version) for name, version in self.versions.items())
        )

    def file_name(self) -> str:
        """Return the name of its file, which tells models, shapes and arguments apart."""
        size = (
            f'{self.tokens}tokens' if self.tokens else 'x'.join(map(str, self.input_shape or ()))
        )
        parts = [self.zoo, size]
        if self.arguments:
            text = json.dumps(dict(self.arguments), sort_keys=True)
            parts.append(hashlib.sha256(text.encode()).hexdigest()[:8])
        return '-'.join(parts) + SUFFIX

    def to_json(self) -> str:
        """Return its file's text, an operation a line."""
        plain = {
            'format': FORMAT,
            **{key: value for key, value in asdict(self).items() if key != 'outline'},
        }
        head = [f'{json.dumps(key)}: {json.dumps(value)}' for key, value in plain.items()]
        body = [
            f'{json.dumps(key)}: {_rows(value)}' for key, value in self.outline.to_plain().items()
        ]
        return '{\n' + ',\n'.join(head) + ',\n"outline": {\n' + ',\n'.join(body) + '\n}}\n'

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """Read what :meth:`to_json` gave.

        :raises ValueError: or KeyError, TypeError: where it is something else.
        """
        plain = json.loads(text)
        if plain.pop('format') != FORMAT:
            raise ValueError(f'its format is not {FORMAT}')
        shape = plain.pop('input_shape')
        return cls(
            input_shape=None if shape is None else tuple(shape),
            enums=tuple(plain.pop('enums')),
            outline=Outline.from_plain(plain.pop('outline')),
            **plain,
        )


def find_profile(
    request: ModelRequest, cache_dir: str | os.PathLike[str] | None = None
) -> Profile | None:
    """Return the profile that covers a request: a shipped one, else one in the cache's folder.

    :raises ModelError: for a file that is damaged.
    """
    if request.zoo is None:  # a factory's source may have changed since
        return None
    for folder in _folders(cache_dir):
        for path in sorted(folder.glob(f'{request.zoo}-*{SUFFIX}')):
            if (profile := read_profile(path)).covers(request):
                return profile
    return None


def read_profile(path: Path) -> Profile:
    """Read a profile's file.

    :raises ModelError: where it is none.
    """
    try:
        return Profile.from_json(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            'profile', str(path), f'cannot be read: {error}', 'Write it anew: pamdi profile.'
        ) from None


def _folders(cache_dir: str | os.PathLike[str] | None) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError):  # an installation without config/
        yield config_path('fleet.schema.json').parent / FOLDER
    yield cache_root(cache_dir).parent / FOLDER


def _fits(package: str, version: str) -> bool:
    """Tell whether a library is absent (then nothing can be built) or of that version."""
    try:
        return metadata.version(package).partition('+')[0] == version
    except metadata.PackageNotFoundError:
        return True


def _rows(value: object) -> str:
    compact = (',', ':')
    if isinstance(value, list) and value and isinstance(value[0], list):
        lines = (json.dumps(row, separators=compact) for row in value)
        return '[\n' + ',\n'.join(lines) + ']'
    return json.dumps(value, separators=compact)
