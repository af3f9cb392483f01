# SPDX-License-Identifier: Apache-2.0
"""Build the heads of a model's exits in a process that ends: weights, operations, costs.

``python -m pamdi_ros.models.engines.exit_heads REQUEST_JSON BUILT HEADS_JSON DIRECTORY PARENT``,
as
:mod:`pamdi_ros.models.build.heads` calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
from pathlib import Path
import sys

from pamdi_ros.models.build.cache import Built, ERROR_MARK, read_entry
from pamdi_ros.models.build.exits import (
    Boundary,
    check_head,
    head_prefix,
    load_head_file,
    make_head,
)
from pamdi_ros.models.build.heads import check_units, HeadRequest, HEADS_FILE
from pamdi_ros.models.build.request import ModelRequest, read_request
from pamdi_ros.models.engines.model import Model
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.graph.capture import CaptureError
from pamdi_ros.models.graph.interpreter import Interpreter
from pamdi_ros.models.graph.lowering import lower_module
from pamdi_ros.models.graph.measure import tensors_of
from pamdi_ros.models.graph.program import Program
from pamdi_ros.parent_death_signal import ask_for_signal_at_parents_death
from safetensors.torch import save_file
import torch
from torch import nn, Tensor
from torch.utils.flop_counter import FlopCounterMode

WEIGHTS_FILE = 'heads.safetensors'


def build_heads(
    request: ModelRequest, built: Built, heads: Sequence[HeadRequest], directory: Path
) -> None:
    """Write the heads' entry of the cache.

    :param built: the model's build.
    :param directory: exists; filled with ``heads.json`` and ``heads.safetensors``.
    :raises ModelError: for a head that does not fit the model or its weights file.
    """
    model = Model(request, built)
    check_units(heads, model.unit_count)
    stored: dict[str, Tensor] = {}
    entries = {}
    for head in heads:
        boundary = boundary_of(model, head.unit)
        module = make_head(head, boundary, request.seed or 0)
        file = request.weights_file
        found = load_head_file(module, head.unit, file) if file is not None else {}
        check_head(module, boundary)
        prefix, keep = head_prefix(head.unit), request.weights.endswith('.safetensors')
        state = {**module.state_dict(), **_plain_tensors(module)}
        program = _program(module, state, boundary)
        where = {}
        for name, tensor in state.items():
            dtype = str(tensor.dtype).removeprefix('torch.')
            if name in found and keep:
                where[name] = (request.weights, found[name], dtype)
            else:
                where[name] = (WEIGHTS_FILE, prefix + name, dtype)
                stored[prefix + name] = tensor.clone(memory_format=torch.contiguous_format)
        zeros = [
            torch.zeros(shape, dtype=getattr(torch, kind)) for shape, kind in boundary.tensors
        ]
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            module(*zeros)
        entries[head.unit] = {
            'flops': counter.get_total_flops(),
            'sizes': [(prefix + name, tensor.nbytes) for name, tensor in state.items()],
            'tensors': where,
            'program': program.to_plain(),
        }
    save_file(stored, directory / WEIGHTS_FILE)
    (directory / HEADS_FILE).write_text(json.dumps(entries))


def boundary_of(model: Model, unit: int) -> Boundary:
    """Return what the head of an exit before a unit is told.

    :raises ModelError: for a unit outside the model, or one that is no image classifier.
    """
    ((shape, _), *_) = model.signature(model.unit_count)
    if len(shape) != 2 or model.request.tokens is not None:
        raise ModelError(
            'exits', unit, f'{model.request.name} is no classifier, which alone has exits',
            'Remove them.',
        )  # fmt: skip
    return Boundary(unit=unit, tensors=model.signature(unit), classes=shape[1])


def _program(module: nn.Module, state: Mapping[str, Tensor], boundary: Boundary) -> Program:
    """Return a head's operations, after a proof on inputs that it was not made with.

    :param state: its tensors by name.
    :raises ModelError: they cannot be written down, or depend on values.
    """
    cpu = torch.device('cpu')
    named = dict(module.named_parameters(remove_duplicate=False))
    named |= dict(module.named_buffers(remove_duplicate=False))
    try:
        made = lower_module(module, {**state, **named}, _random(boundary, 0))
        program = Program.from_plain(json.loads(json.dumps(made.to_plain())))
        for seed in (0, 1, 2):
            inputs = _random(boundary, seed)
            with torch.inference_mode():
                expected = tensors_of(module(*inputs))
                given = Interpreter(program, 0, 1, state, cpu)(*inputs)
            if not all(map(torch.equal, given, expected)):
                raise CaptureError('its operations do not give what the module gives')
    except CaptureError as error:
        raise ModelError(
            'exits', boundary.unit, f'its head cannot be written as operations: {error}',
            'It must be free of control flow that depends on values, and of randomness.',
        ) from error  # fmt: skip
    return program


def _plain_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that are neither parameters nor part of the state."""
    found = {}
    for prefix, part in module.named_modules():
        for name, value in (*part.__dict__.items(), *part._buffers.items()):
            if isinstance(value, Tensor):
                found[f'{prefix}.{name}' if prefix else name] = value
    return {name: value for name, value in found.items() if name not in module.state_dict()}


def _random(boundary: Boundary, seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    tensors = []
    for shape, name in boundary.tensors:
        dtype = getattr(torch, name)
        drawn = torch.randn(shape, generator=generator) if dtype.is_floating_point else None
        tensors.append(torch.zeros(shape, dtype=dtype) if drawn is None else drawn.to(dtype))
    return tuple(tensors)


def main() -> int:
    """Build for another process; a ModelError goes to it as one line of JSON."""
    request, built, heads, directory, parent = sys.argv[1:6]
    if not ask_for_signal_at_parents_death(int(parent)):
        return 1
    try:
        build_heads(
            read_request(json.loads(request)),
            read_entry(Path(built)),
            [HeadRequest(**head) for head in json.loads(heads)],
            Path(directory),
        )
    except ModelError as error:
        print(ERROR_MARK + json.dumps(error.fields()), file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
