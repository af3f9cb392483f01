# SPDX-License-Identifier: Apache-2.0
"""What a process that serves does: it loads data while it computes, and traces nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
import json
from pathlib import Path
import subprocess
import sys
from threading import Event

from pamdi_ros.models import Model, ModelError
from pamdi_ros.models.build.cache import PROGRAM_FILE
from pamdi_ros.models.build.heads import ensure_heads, read_heads
from pamdi_ros.models.engines.exit_heads import build_heads
from pamdi_ros.models.graph.interpreter import resolve
from pamdi_ros.models.graph.program import FORMAT
import pytest
import torch

GetModel = Callable[[Mapping[str, object]], Model]
SMALL_GPT2 = {'n_layer': 2, 'n_embd': 32, 'n_head': 2, 'vocab_size': 300, 'n_positions': 32}
TEXT: dict[str, object] = {'zoo': 'gpt2', 'tokens': 12, 'arguments': SMALL_GPT2}
SMALL: dict[str, object] = {'zoo': 'resnet56', 'arguments': {'blocks': 1}}
SMALLER: dict[str, object] = {**SMALL, 'input_shape': [3, 8, 8]}
PASSES = 1000


def test_loading_models_while_another_computes_changes_nothing(
    get_model: GetModel, cache_dir: Path
) -> None:
    """It did: torch.fx replaces nn.Module.__call__ in all threads while it traces."""
    others: tuple[Mapping[str, object], ...] = (
        TEXT,
        {'zoo': 'resnet56', 'arguments': {'blocks': 2}, 'unit_flops': 10**6},
    )
    for spec in others:
        get_model(spec)
    model = get_model(SMALLER)
    inputs = model.example_inputs()
    with torch.inference_mode():
        expected = model.module(*inputs)
    running = model.partition(0, model.unit_count)
    done = Event()

    def compute() -> list[int]:
        try:
            return [
                index for index in range(PASSES) if not torch.equal(running(*inputs)[0], expected)
            ]
        finally:
            done.set()

    loads = 0
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)  # threads take turns more often: more to go wrong, less to wait
    try:
        with ThreadPoolExecutor() as pool:
            passes = pool.submit(compute)
            while loads < 3 * len(others) or not done.is_set():
                resolve.cache_clear()
                opened = Model.from_spec(others[loads % len(others)], cache_dir)
                for unit in range(opened.unit_count):
                    opened.load_unit(unit)
                loads += 1
    finally:
        sys.setswitchinterval(interval_s)
    assert passes.result() == []


def test_threads_that_load_the_same_units_share_their_weights(get_model: GetModel) -> None:
    model = get_model(TEXT)
    with ThreadPoolExecutor(8) as pool:
        units = list(pool.map(lambda _: model.load_unit(0), range(16)))
    held = {id(tensor) for unit in units for tensor in unit.tensors}

    assert len(held) == len(units[0].tensors)


def test_units_outside_the_model_are_refused(get_model: GetModel) -> None:
    model = get_model(SMALL)
    for wrong in (-1, model.unit_count):
        with pytest.raises(ModelError, match='unit'):
            model.load_unit(wrong)


def test_a_unit_says_what_it_takes_and_holds(get_model: GetModel) -> None:
    model = get_model(TEXT)
    tensors = model.example_inputs()
    for index in range(model.unit_count):
        unit = model.load_unit(index)
        assert unit.input_signature == model.signature(index)
        assert unit.weight_bytes == sum(tensor.nbytes for tensor in unit.tensors)
        assert unit.weight_bytes == model.table.units[index].weight_bytes
        assert unit.narrow == (index == model.narrow_at)
        assert unit.head is None and unit.device == torch.device('cpu')
        tensors = unit(*map(unit.place, tensors))
        assert not any(tensor.requires_grad for tensor in tensors)
    odd = torch.zeros(17)[1:]
    assert odd.data_ptr() % 64 and unit.place(odd).data_ptr() % 64 == 0


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        ({'format': FORMAT + 1}, 'damaged.*Delete'),
        ({'operations': []}, 'damaged.*Delete'),
        ({'operations': [], 'live': [[0]]}, 'different builds.*Delete'),
        ({'constants': [[[1, 'aten.relu_.default', [], {}]]]}, 'aten.relu_.default'),
        (None, 'damaged.*Delete'),
    ],
)
def test_a_damaged_program_is_refused_before_anything_runs(
    get_model: GetModel, cache_dir: Path, change: dict[str, object] | None, text: str
) -> None:
    path = get_model(SMALL).built.directory / PROGRAM_FILE
    kept = path.read_text()
    path.write_text('{' if change is None else json.dumps({**json.loads(kept), **change}))
    try:
        with pytest.raises(ModelError, match=text):
            Model.from_spec(SMALL, cache_dir).load_unit(0)
    finally:
        path.write_text(kept)
    assert Model.from_spec(SMALL, cache_dir).load_unit(0).tensors


SERVE = """
import builtins, json, pickle, sys, unittest.mock
import torch, torch.fx
from pamdi_ros.models import Model
from pamdi_ros.models.tasks.answers import read_answer
from pamdi_ros.models.engines.text import TextModel

def never(*_, **__):
    raise AssertionError('a process that serves does this')

def ours(call):
    def guarded(*args, **kwargs):
        caller = sys._getframe(1).f_globals.get('__name__', '')
        if caller.startswith(('pamdi_ros', 'torch.fx', 'torch._dynamo', 'torch.export')):
            never()
        return call(*args, **kwargs)
    return guarded

torch.fx.Tracer.trace = torch.fx.Graph.__init__ = torch.fx.GraphModule.__new__ = never
torch.export.export = torch.nn.Module.__init__ = torch.nn.Module.__call__ = never
unittest.mock._patch.__enter__ = unittest.mock._patch.start = never
pickle.load = pickle.loads = pickle.Unpickler = torch.load = never
builtins.exec, builtins.eval, builtins.compile = map(ours, (exec, eval, compile))

before = {id(getattr(torch.nn.functional, name)) for name in dir(torch.nn.functional)}
for spec in json.loads(sys.argv[2]):
    model = Model.from_spec(spec, sys.argv[1])
    tensors, heads = model.example_inputs(), 0
    text = TextModel(model) if 'zoo' in spec and spec['zoo'] == 'gpt2' else None
    for index in range(model.unit_count):
        unit = model.load_unit(index)
        if text is not None:
            tensors = text.narrow(index, tensors, 3)
        tensors = unit(*map(unit.place, tensors))
        if unit.head is not None:
            heads += unit.head(*tensors).numel()
    model.labels()
    print(model.unit_count, heads, len(read_answer(tensors, 3).class_ids), tensors[0].numel())
assert before == {id(getattr(torch.nn.functional, name)) for name in dir(torch.nn.functional)}
built = (
    'build.zoo', 'graph.capture', 'graph.flow', 'graph.lowering', 'build.meta_model',
    'build.program', 'graph.functional', 'graph.costs', 'build.exits',
)
print([name for name in built if f'pamdi_ros.models.{name}' in sys.modules])
print([name for name in ('torchvision', 'transformers', 'served_net') if name in sys.modules])
"""


def test_a_process_that_serves_traces_patches_and_executes_nothing(
    factories: Callable[[str, str], str], get_model: GetModel, cache_dir: Path, tmp_path: Path
) -> None:
    name = factories(
        'served_net', 'def make():\n    return nn.Sequential(nn.Linear(8, 6), nn.ReLU(True))\n'
    )
    exits = {**SMALL, 'exits': [{'unit': 3}]}
    image = get_model(exits)
    ensure_heads(image.request, image.built, read_heads(exits), build_heads)
    factory = {'factory': f'{name}:make', 'input_shape': [8]}
    models = [image, get_model(TEXT), get_model(factory)]
    script = f'import sys; sys.path.insert(0, {str(tmp_path)!r})\n{SERVE}'
    done = subprocess.run(
        [sys.executable, '-c', script, str(cache_dir), json.dumps([exits, TEXT, factory])],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    counts = [model.unit_count for model in models]
    assert done.stdout.splitlines() == [
        f'{counts[0]} 10 3 10', f'{counts[1]} 0 0 300', f'{counts[2]} 0 3 6', '[]', '[]',
    ]  # fmt: skip
