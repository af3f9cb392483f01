# SPDX-License-Identifier: Apache-2.0
"""Bundles: built and exported models of a fleet, for machines that cannot build. No torch.

A bundle is a directory: ``manifest.json``, and below ``models/`` the entries of a cache, those of
exports and exits' heads beside their model's. What it holds is asked for by what a fleet file says
of a model, and by nothing else: no library's version counts, but what every file holds does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
import hashlib
import json
import os
from pathlib import Path
import shutil
from typing import Any

from pamdi_ros.models.build.cache import Built, ENTRY_FILE, ensure_built, read_entry, read_json
from pamdi_ros.models.build.heads import BuiltHeads, ensure_heads, HeadRequest, read_heads, with_heads
from pamdi_ros.models.build.request import FILE_SUFFIXES, ModelRequest, read_request
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.units import UnitTable

MANIFEST_FILE = 'manifest.json'
MODELS = 'models'
FORMAT = 1
_CHUNK_BYTES = 1 << 20
_REMEDY = 'Make it anew where torch is: pamdi build FLEET --out DIR.'


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """What a specification stands for on disk.

    :param request: what was asked for.
    :param heads: of exits, as asked for.
    :param built: the model's build.
    :param built_heads: those of its exits' heads; None: it has none.
    """

    request: ModelRequest
    heads: tuple[HeadRequest, ...]
    built: Built
    built_heads: BuiltHeads | None

    def table(self) -> UnitTable:
        """Return the costs of its units, each head's with the unit before its exit."""
        outline, request = self.built.outline, self.request
        return with_heads(
            outline.table(request.name, outline.places(request.unit_flops)), self.built_heads
        )


def resolve(
    spec: Mapping[str, object], cache_dir: str | os.PathLike[str] | None = None
) -> Resolved:
    """Return what a model's mapping stands for: from its bundle, else from the cache.

    What is in neither a bundle nor the cache is built.

    :param spec: as :meth:`pamdi_ros.models.Model.from_spec` takes it.
    :param cache_dir: None: $PAMDI_CACHE, else ~/.cache/pamdi_ros.
    :raises ModelError: naming the field, its value and what to do.
    """
    request, heads = read_request(spec), read_heads(spec)
    bundle = spec.get('bundle')
    if bundle is None:
        built = ensure_built(request, cache_dir)
    elif isinstance(bundle, str) and bundle:
        built = Bundle.open(bundle).built(request)
    else:
        raise ModelError('bundle', bundle, 'must be a directory', 'As pamdi build makes it.')
    return Resolved(
        request=request,
        heads=heads,
        built=built,
        built_heads=ensure_heads(request, built, heads),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A bundle that was opened.

    :param directory: its own.
    :param models: what the manifest tells of each model, by what asks for it (:func:`key_of`).
    """

    directory: Path
    models: Mapping[str, Mapping[str, Any]]

    @classmethod
    def open(cls, directory: str | os.PathLike[str]) -> Bundle:
        """Read a bundle's manifest.

        :raises ModelError: there is none, or it is another version's.
        """
        folder = Path(directory).expanduser()
        if not (folder / MANIFEST_FILE).is_file():
            raise ModelError(
                'bundle', str(folder), f'has no {MANIFEST_FILE}', f'Is it copied whole? {_REMEDY}'
            )
        plain: Any = read_json(folder / MANIFEST_FILE)
        try:
            if plain['format'] != FORMAT:
                raise ModelError(
                    'bundle', str(folder),
                    f'has format {plain["format"]!r}, this pamdi_ros reads {FORMAT}', _REMEDY,
                )  # fmt: skip
            return cls(directory=folder, models={str(k): dict(v) for k, v in plain['models'].items()})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(
                'bundle', str(folder), f'its {MANIFEST_FILE} is damaged: {error!r}', _REMEDY
            ) from None

    def built(self, request: ModelRequest) -> Built:
        """Return a model's build, after a look at every file of it.

        :raises ModelError: the bundle lacks it, or a file is not the one that was put in.
        """
        found = self.models.get(key_of(request))
        if found is None:
            raise ModelError(
                'bundle', str(self.directory), f'does not hold {request.name} as the fleet file '
                f'asks for it; it holds {", ".join(m["name"] for m in self.models.values())}',
                _REMEDY,
            )  # fmt: skip
        for name, (digest, size) in found['files'].items():
            path = self.directory / MODELS / name
            there = path.stat().st_size if path.is_file() else -1
            if there != size or content_hash(path) != digest:
                what = 'is missing' if there < 0 else 'is not the file that was put in'
                raise ModelError(
                    'bundle', str(self.directory), f'{MODELS}/{name} {what}',
                    f'Copy the bundle anew, or: {_REMEDY}',
                )  # fmt: skip
        built = read_entry(self.directory / MODELS / found['entry'])
        digest = built.outline.table(request.name, built.outline.places(None)).digest()
        if digest != found['units']:
            raise ModelError(
                'bundle', str(self.directory), f'promises units {found["units"]} of '
                f'{request.name}, this pamdi_ros cuts {digest} out of it', _REMEDY,
            )  # fmt: skip
        return built


def write_bundle(directory: Path, models: Sequence[Resolved]) -> dict[str, Any]:
    """Write models into a bundle, with all that lies beside them in the cache.

    :param directory: is made; what it holds of another bundle is replaced.
    :returns: the manifest.
    :raises OSError: it cannot be written.
    """
    target = directory / MODELS
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    manifest: dict[str, Any] = {'format': FORMAT, 'models': {}}
    for model in models:
        source = model.built.directory
        siblings = sorted(
            path
            for path in source.parent.glob(f'{source.name}*')
            if path.is_dir() and (path == source or path.name.startswith(f'{source.name}-'))
        )
        files = {}
        for folder in siblings:
            shutil.copytree(folder, target / folder.name, dirs_exist_ok=True)
            _bring_in(target / folder.name)
            for path in sorted((target / folder.name).iterdir()):
                name = path.relative_to(target).as_posix()
                files[name] = (content_hash(path), path.stat().st_size)
        outline = model.built.outline
        manifest['models'][key_of(model.request)] = {
            'name': model.request.name,
            'entry': source.name,
            'units': outline.table(model.request.name, outline.places(None)).digest(),
            'files': files,
        }
    (directory / MANIFEST_FILE).write_text(json.dumps(manifest, indent=1), encoding='utf-8')
    return manifest


def key_of(request: ModelRequest) -> str:
    """Return what a request is known by in a bundle: a weights file by its name alone."""
    weights = request.weights
    if weights.endswith(FILE_SUFFIXES):
        weights = Path(weights).name
    return replace(request, weights=weights, unit_flops=None).to_json()


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _bring_in(folder: Path) -> None:
    """Copy the files outside of an entry that its tensors lie in, and have it name the copies."""
    for name in (ENTRY_FILE, 'heads.json'):
        path = folder / name
        if not path.is_file():
            continue
        text = path.read_text(encoding='utf-8')
        plain = json.loads(text)
        owners = [plain] if name == ENTRY_FILE else list(plain.values())
        for owner in owners:
            for tensor, (file, *rest) in owner['tensors'].items():
                if Path(file).is_absolute():
                    copy = folder / f'user-{Path(file).name}'
                    if not copy.exists():
                        shutil.copyfile(file, copy)
                    owner['tensors'][tensor] = [copy.name, *rest]
        path.write_text(json.dumps(plain), encoding='utf-8')
