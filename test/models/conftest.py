# SPDX-License-Identifier: Apache-2.0
"""Models for the tests: built once a session, in this process, in a cache of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pamdi_ros.models import Model
from pamdi_ros.models.build.cache import obtain
from pamdi_ros.models.build.program import build
from pamdi_ros.models.build.request import read_request
import pytest
import torch

GetModel = Callable[[Mapping[str, object]], Model]


@pytest.fixture(scope='session', autouse=True)
def one_thread() -> Iterator[None]:
    """Compute on one thread: small models are faster so, and equal bits need equal threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='session')
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the session's cache."""
    return tmp_path_factory.mktemp('cache')


@pytest.fixture(scope='session')
def get_model(cache_dir: Path) -> GetModel:
    """Return a function from specification to model."""

    def get(spec: Mapping[str, object]) -> Model:
        obtain(read_request(spec), cache_dir, build)  # spares a process, which imports torch anew
        return Model.from_spec(spec, cache_dir)

    return get


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Return a function that writes an importable module and gives its name."""

    def write(name: str, source: str) -> str:
        (tmp_path / f'{name}.py').write_text(
            'import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n' + source
        )
        monkeypatch.syspath_prepend(tmp_path)
        return name

    return write
