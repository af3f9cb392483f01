# SPDX-License-Identifier: Apache-2.0
"""Build the heads of a model's exits in a process that ends: weights and costs for the cache.

``python -m pamdi_ros.models.build_heads REQUEST_JSON BUILT HEADS_JSON DIRECTORY PARENT``, as
:mod:`pamdi_ros.models.heads` calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
from pathlib import Path
import sys

from pamdi_ros.lifeline import ask_for_signal_at_parents_death
from pamdi_ros.models.cache import Built, ERROR_MARK, read_entry
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.exits import check_head, head_prefix, load_head_file, make_head
from pamdi_ros.models.heads import check_units, HeadRequest, HEADS_FILE
from pamdi_ros.models.model import Model
from pamdi_ros.models.request import ModelRequest, read_request
from safetensors.torch import save_file
import torch
from torch import Tensor
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
        boundary = model.boundary(head.unit)
        module = make_head(head, boundary, request.seed or 0)
        file = request.weights_file
        found = load_head_file(module, head.unit, file) if file is not None else {}
        check_head(module, boundary)
        prefix, keep = head_prefix(head.unit), request.weights.endswith('.safetensors')
        state = module.state_dict()
        where = {}
        for name, tensor in state.items():
            dtype = str(tensor.dtype).removeprefix('torch.')
            if found and keep:
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
        }
    save_file(stored, directory / WEIGHTS_FILE)
    (directory / HEADS_FILE).write_text(json.dumps(entries))


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
