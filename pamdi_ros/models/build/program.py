# SPDX-License-Identifier: Apache-2.0
"""Build a model once, whole, in a process that ends: weights and outline for the cache.

``python -m pamdi_ros.models.build.program REQUEST_JSON DIRECTORY PARENT_PROCESS_ID``, as
:mod:`pamdi_ros.models.build.cache` calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
import json
from pathlib import Path
import sys

from pamdi_ros.parent_death_signal import ask_for_signal_at_parents_death
from pamdi_ros.models.build import zoo
from pamdi_ros.models.build.cache import ENTRY_FILE, ERROR_MARK, PROGRAM_FILE
from pamdi_ros.models.graph.capture import capture, CaptureError, TRACERS
from pamdi_ros.models.graph.costs import read_outline
from pamdi_ros.models.graph.cuts import best_of_equal_work
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.graph.flow import DataFlow, read_flow
from pamdi_ros.models.graph.lowering import lower
from pamdi_ros.models.graph.measure import tensors_of
from pamdi_ros.models.graph.interpreter import Interpreter
from pamdi_ros.models.graph.program import Program
from pamdi_ros.models.build.request import ModelRequest, read_request
from pamdi_ros.models.build.meta_model import traceable
from pamdi_ros.models.build.weights import load_file, tied_names
from safetensors.torch import save_file
import torch
from torch import nn, Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

WEIGHTS_FILE = 'weights.safetensors'


def build(request: ModelRequest, directory: Path) -> None:
    """Write a model's cache entry, after a proof that its finest units give what the module does.

    :param directory: exists; filled with ``units.json``, ``program.json`` and
        ``weights.safetensors``.
    :raises ModelError: for weights that do not fit or a model that cannot be cut.
    """
    module = zoo.build_module(request)
    found: dict[str, str] | None = None
    if request.weights_file is not None:
        found = load_file(module, request.weights_file)
    inputs = zoo.input_tensors(request)
    try:
        with torch.inference_mode():
            expected = tensors_of(module(*inputs))
    except Exception as error:  # the module's own complaint about the shape
        raise ModelError(
            'input_shape' if request.tokens is None else 'tokens',
            tuple(inputs[0].shape[1:]),
            f'{request.name} refuses such an input: {type(error).__name__}: {error}',
        ) from error
    reasons = []
    for tracer in TRACERS:
        try:
            _build_with(tracer, request, module, found, inputs, expected, directory)
        except CaptureError as error:
            reasons.append(f'({tracer}) {error}')
        else:
            return
    raise ModelError(
        'zoo' if request.zoo else 'factory', request.name,
        f'cannot be cut into units: {"; ".join(reasons)}',
        'A model must be free of control flow that depends on values; detectors are not.',
    )  # fmt: skip


def _build_with(
    tracer: str,
    request: ModelRequest,
    module: nn.Module,
    found: dict[str, str] | None,
    inputs: tuple[Tensor, ...],
    expected: tuple[Tensor, ...],
    directory: Path,
) -> None:
    with traceable(request):
        captured = capture(module, inputs, tracer)
    mode = FakeTensorMode()
    flow = read_flow(captured, tuple(map(mode.from_tensor, inputs)), mode)
    tied = tied_names(module)
    stored, tensors = stored_tensors(flow, tied)
    outline = read_outline(flow, stored, tensors, mode, text=request.tokens is not None)
    narrow_from = outline.tails[-1].first if outline.tails else None
    lowered, narrow_expected = lower(flow, stored, tensors, inputs, narrow_from)
    text = json.dumps(lowered.to_plain(), separators=(',', ':'))
    program = Program.from_plain(json.loads(text))  # what an executor will read
    finest = [position.index for position in best_of_equal_work(outline.positions())]
    places = sorted({0, *finest, *([] if narrow_from is None else [narrow_from]), len(flow.order)})
    _prove(program, places, tensors, inputs, expected, narrow_from, narrow_expected)
    where = _store(request, module, found, tensors, tied, directory)
    entry = {
        'tracer': tracer,
        'digest': flow.digest(),
        'categories': zoo.categories(request),
        'tensors': where,
        'outline': outline.to_plain(),
    }
    (directory / PROGRAM_FILE).write_text(text)
    (directory / ENTRY_FILE).write_text(json.dumps(entry))


def stored_tensors(
    flow: DataFlow, tied: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return what a flow reads: graph name -> stored name, and stored name -> tensor.

    :param tied: first name of each tensor that has several, by any of them.
    """
    nodes = (*flow.cone(0, len(flow.order)), *flow.order)
    needed = {name for node in nodes for name in flow.captured.tensor_names(node)}
    stored = {name: tied.get(name, name) for name in sorted(needed)}
    return stored, {stored[name]: flow.captured.tensor(name).detach() for name in stored}


def _prove(
    program: Program,
    places: Sequence[int],
    tensors: Mapping[str, Tensor],
    inputs: tuple[Tensor, ...],
    expected: tuple[Tensor, ...],
    narrow_from: int | None,
    narrow_expected: tuple[Tensor, ...],
) -> None:
    """Check that a program gives what the module does, at every place where it may be cut.

    :param narrow_from: where one position of a text may go on alone, with `narrow_expected`.
    :raises CaptureError: it does not.
    """
    cpu = torch.device('cpu')
    current, position = inputs, None
    with torch.inference_mode():
        for first, last in pairwise(places):
            if first == narrow_from:
                position = current[0][:, -1:].clone()
            current = Interpreter(program, first, last, tensors, cpu)(*current)
    _compare('the units', current, expected)
    if narrow_from is None:
        return
    assert position is not None
    current = (position,)
    with torch.inference_mode():
        for first, last in pairwise(places[places.index(narrow_from) :]):
            current = Interpreter(program.narrow or program, first, last, tensors, cpu)(*current)
    _compare('the units of one position', current, narrow_expected)


def _compare(what: str, found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    if len(found) != len(expected):
        raise CaptureError(f'{what} give {len(found)} tensors, the module {len(expected)}')
    for ours, theirs in zip(found, expected, strict=True):
        same = ours.shape == theirs.shape and ours.dtype == theirs.dtype
        if not same or not torch.allclose(ours, theirs, rtol=0, atol=0, equal_nan=True):
            raise CaptureError(f'{what} do not give what the module gives')


def _store(
    request: ModelRequest,
    module: nn.Module,
    found: dict[str, str] | None,
    tensors: dict[str, Tensor],
    tied: dict[str, str],
    directory: Path,
) -> dict[str, tuple[str, str, str]]:
    """Write the tensors that no file of the user's holds; say where each one lies."""
    in_file = {tied.get(name, name): key for name, key in (found or {}).items()}
    missing = [
        name for name in tensors
        if found is not None and name not in in_file and name in module.state_dict()
    ]  # fmt: skip
    if missing:
        raise ModelError(
            'weights', request.weights,
            f'lacks {missing[0]}' + (f' and {len(missing) - 1} more' if missing[1:] else ''),
            'Is it the file of this architecture?',
        )  # fmt: skip
    keep = request.weights.endswith('.safetensors')
    where = {}
    own = {}
    for name, tensor in tensors.items():
        dtype = str(tensor.dtype).removeprefix('torch.')
        if keep and name in in_file:
            where[name] = (request.weights, in_file[name], dtype)
        else:
            where[name] = (WEIGHTS_FILE, name, dtype)
            own[name] = tensor.clone(memory_format=torch.contiguous_format)
    save_file(own, directory / WEIGHTS_FILE)
    return where


def main() -> int:
    """Build for another process; a ModelError goes to it as one line of JSON."""
    if not ask_for_signal_at_parents_death(int(sys.argv[3])):
        return 1
    try:
        build(read_request(json.loads(sys.argv[1])), Path(sys.argv[2]))
    except ModelError as error:
        print(ERROR_MARK + json.dumps(error.fields()), file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
