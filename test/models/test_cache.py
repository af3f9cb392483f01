# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import json
import os
from pathlib import Path
import subprocess
import sys
from threading import Event

from pamdi_ros.models.build.cache import cache_root, ENTRY_FILE, obtain, run_builder
from pamdi_ros.models.build.request import ModelRequest, read_request
from pamdi_ros.models.errors import ModelError
import pytest

REQUEST = read_request({'zoo': 'resnet56', 'arguments': {'blocks': 1}})
ENTRY = {
    'tracer': 'fx', 'digest': 'd', 'categories': [],
    'tensors': {'w': ['weights.safetensors', 'w', 'float32']},
    'outline': {
        'tensors': [], 'storages': [], 'constants': [], 'operations': [], 'output_constants': [],
        'output_bytes': 4, 'tails': [],
    },
}  # fmt: skip


def test_of_several_at_once_one_builds_and_all_get_it(tmp_path: Path) -> None:
    built = []
    go = Event()

    def build(request: ModelRequest, directory: Path) -> None:
        go.wait(10)
        built.append(directory)
        (directory / ENTRY_FILE).write_text(json.dumps(ENTRY))

    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(obtain, REQUEST, tmp_path, build) for _ in range(4)]
        go.set()
        entries = [one.result() for one in waiting]

    assert len(built) == 1
    assert len({entry.directory for entry in entries}) == 1
    assert entries[0].tensors['w'] == ('weights.safetensors', 'w', 'float32')


def test_a_failed_build_leaves_nothing_and_may_be_tried_again(tmp_path: Path) -> None:
    def fail(request: ModelRequest, directory: Path) -> None:
        (directory / 'half').write_text('half')
        raise ModelError('weights', 'x', 'broken')

    for _ in range(2):
        with pytest.raises(ModelError, match='broken'):
            obtain(REQUEST, tmp_path, fail)

    assert [path.suffix for path in cache_root(tmp_path).iterdir()] == ['.lock']


def test_a_damaged_entry_names_what_to_delete(tmp_path: Path) -> None:
    directory = cache_root(tmp_path) / REQUEST.key()
    directory.mkdir(parents=True)
    (directory / ENTRY_FILE).write_text('{"tracer": 1')

    with pytest.raises(ModelError, match=r'damaged.*Delete'):
        obtain(REQUEST, tmp_path, lambda *_: None)


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PAMDI_CACHE', '/somewhere')
    assert cache_root() == Path('/somewhere/models')
    assert cache_root('/else') == Path('/else/models')


THREADS = """
import os, pathlib, sys
pathlib.Path(sys.argv[1]).write_text(os.environ['OMP_NUM_THREADS'])
"""


def test_a_builder_leaves_half_of_the_processors_to_others_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'threads_of_a_builder.py').write_text(THREADS)
    monkeypatch.syspath_prepend(str(tmp_path))
    half = str(max(1, (os.cpu_count() or 1) // 2))
    for chosen, used in ((None, half), ('7', '7')):
        monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
        if chosen is not None:
            monkeypatch.setenv('OMP_NUM_THREADS', chosen)
        run_builder('threads_of_a_builder', [str(tmp_path / 'used')], REQUEST)
        assert (tmp_path / 'used').read_text() == used


CATALOG = """
import json, sys
from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.models.errors import ModelError
for spec in json.loads(sys.argv[1]):
    try:
        print(len(unit_table(spec, sys.argv[2])))
    except ModelError as error:
        print(error)
    print('torch' in sys.modules)
"""


def test_the_catalog_builds_what_is_absent_and_never_loads_torch(tmp_path: Path) -> None:
    specs: list[dict[str, object]] = [
        {'zoo': 'resnet56', 'arguments': {'blocks': 1}},
        {'factory': 'not_there.nets:make', 'input_shape': [1]},
    ]
    done = subprocess.run(
        [sys.executable, '-c', CATALOG, json.dumps(specs), str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    (*built, message, torch_loaded) = done.stdout.splitlines()

    assert built == ['8', 'False']
    assert "factory = 'not_there.nets:make'" in message and 'PYTHONPATH' in message
    assert torch_loaded == 'False'
