# SPDX-License-Identifier: Apache-2.0
"""Export a model's operations as ONNX in a process that ends, and check them against torch.

``python -m pamdi_ros.models.engines.onnx_export REQUEST_JSON BUILT HEADS DIRECTORY PARENT``, as
:mod:`pamdi_ros.models.build.exported` calls it. torch.onnx translates; every value that may cross
a cut is an output of what it is given, and so keeps its name in the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from itertools import chain, pairwise
import json
import logging
from pathlib import Path
import sys
from typing import Any
import warnings

import numpy as np
import onnx
import onnx_ir
from pamdi_ros.models.build.cache import (
    Built,
    ERROR_MARK,
    PROGRAM_FILE,
    read_entry,
    read_json,
    read_program,
)
from pamdi_ros.models.build.exported import (
    EXPORT_FILE,
    FORMAT,
    GRAPH_FILE,
    head_file,
    NARROW_FILE,
)
from pamdi_ros.models.build.heads import BuiltHeads, read_built_heads
from pamdi_ros.models.build.inputs import random_inputs
from pamdi_ros.models.build.request import ModelRequest, read_request
from pamdi_ros.models.build.stored import StoredTensor
from pamdi_ros.models.build.weights import load_tensors
from pamdi_ros.models.engines.onnx_graph import Arrays, OnnxGraph, Segment, Session, STORED
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.graph.cuts import best_of_equal_work
from pamdi_ros.models.graph.interpreter import (
    check_operations,
    decode,
    Interpreter,
    resolve_overload,
)
from pamdi_ros.models.graph.plain_attention import PLAIN
from pamdi_ros.models.graph.program import GETITEM, Instruction, Program, Reference, Signature
from pamdi_ros.parent_death_signal import ask_for_signal_at_parents_death
import torch
from torch import nn, Tensor

CPU = torch.device('cpu')
#: Largest error of a value that counts as equal, as a share of the largest of its tensor.
TOLERANCE = 1e-4
TOP = 5
#: An output whose values differ by less says nothing about which of them is the best.
LEAST_SPREAD = 1e-6
#: Classes of the head that stands in for such a model's own.
STAND_IN_CLASSES = 100


class CannotCut(Exception):  # noqa: N818 - it says what cannot be done
    """The text says why a graph cannot be cut where the program can."""


class CannotExport(Exception):  # noqa: N818 - it says what cannot be done
    """The text says why a model stays on torch."""


def export(request: ModelRequest, built: Built, heads: BuiltHeads | None, directory: Path) -> None:
    """Write a model's export: its graphs, and whether they give what torch does.

    :param heads: of its exits; None: it has none.
    :param directory: exists; filled.
    """
    reason, worst = '', 0.0
    try:
        worst = _export_and_check(request, built, heads, directory)
    except CannotExport as error:
        reason = str(error)
    libraries = ('torch', 'onnx', 'onnxscript', 'onnxruntime')
    entry = {
        'format': FORMAT,
        'reason': reason,
        'worst': worst,
        'made_by': {name: metadata.version(name) for name in libraries},
    }
    (directory / EXPORT_FILE).write_text(json.dumps(entry))


def _export_and_check(
    request: ModelRequest, built: Built, heads: BuiltHeads | None, directory: Path
) -> float:
    program = read_program(read_json(built.directory / PROGRAM_FILE), built.directory)
    check_operations(program)
    end = len(program.operations)
    weights = load_tensors(
        _stored(built.directory, built.tensors), program.tensor_names(0, end), CPU
    )
    write_graph(program, 0, end, weights, directory / GRAPH_FILE)
    outline = built.outline
    narrow_from = outline.tails[-1].first if outline.tails else None
    finest = {position.index for position in best_of_equal_work(outline.positions())}
    places = sorted({0, *finest, *([] if narrow_from is None else [narrow_from]), end})
    worst = 0.0
    for inputs in _inputs(request, program.signature(0)):
        worst = max(worst, _compare(program, places, weights, inputs, directory / GRAPH_FILE))
    if narrow_from is not None:
        tail = program.narrow or program
        weights |= load_tensors(
            _stored(built.directory, built.tensors),
            set(tail.tensor_names(narrow_from, end)) - set(weights),
            CPU,
        )
        path = directory / NARROW_FILE
        same = program.narrow is None  # the same operations do for one position, too
        write_graph(tail, narrow_from, end, weights, path, one_position=same)
        position = tuple(_random(sort, 0) for sort in _signature(tail, narrow_from, same))
        worst = max(worst, _compare(tail, [narrow_from, end], weights, position, path))
    for unit, head in (heads.heads if heads is not None else {}).items():
        assert heads is not None
        of_head = read_program(head.program, heads.directory)
        check_operations(of_head)
        tensors = load_tensors(_stored(heads.directory, head.tensors), head.tensors, CPU)
        path = directory / head_file(unit)
        write_graph(of_head, 0, 1, tensors, path)
        inputs = tuple(_random(sort, seed) for seed, sort in enumerate(of_head.signature(0)))
        worst = max(worst, _compare(of_head, [0, 1], tensors, inputs, path))
    return worst


# --- writing ------------------------------------------------------------------------------------


class _Operations(nn.Module):
    """Operations [first, last) of a program, for torch.onnx to look at.

    The stored tensors are inputs of it: as its own they would be folded into constants.

    :param wanted: registers that it gives.
    :ivar enters: what its inputs are, the stored tensors last.
    """

    def __init__(self, program: Program, first: int, last: int, wanted: Sequence[int]) -> None:
        super().__init__()
        crossing = program.live[first]
        stored = [name for name in program.tensor_names(first, last) if name not in crossing]
        self.enters: tuple[Reference, ...] = (*crossing, *stored)
        self._instructions = program.instructions(first, last)
        self._wanted = tuple(wanted)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the wanted registers."""
        registers: dict[Reference, Any] = dict(zip(self.enters, tensors, strict=True))
        for instruction in self._instructions:
            registers[instruction.out] = self._call(instruction, registers)
        return tuple(registers[register] for register in self._wanted)

    def _call(self, instruction: Instruction, registers: Mapping[Reference, Any]) -> Any:
        args = [self._value(value, registers) for value in instruction.args]
        kwargs = {
            name: self._value(value, registers) for name, value in instruction.kwargs.items()
        }
        if instruction.target == GETITEM:
            return args[0][args[1]]
        call = PLAIN.get(instruction.target) or resolve_overload(instruction.target)
        return call(*args, **kwargs)

    def _value(self, value: Any, registers: Mapping[Reference, Any]) -> Any:
        if isinstance(value, list):
            return [self._value(item, registers) for item in value]
        if isinstance(value, dict) and 'register' in value:
            return registers[value['register']]
        if isinstance(value, dict) and 'tensor' in value:
            return registers[value['tensor']]
        return decode(value, CPU)


def write_graph(
    program: Program,
    first: int,
    last: int,
    weights: Mapping[str, Tensor],
    path: Path,
    one_position: bool = False,
) -> None:
    """Write operations [first, last) as an ONNX graph that holds no stored tensors.

    :param weights: at least the stored tensors that they read.
    :param one_position: of a text enters, where the program tells of all.
    :raises CannotExport: ONNX cannot say one of them.
    """
    enters = program.live[first]
    crossing = chain.from_iterable(program.live[first + 1 : last + 1])
    wanted = [r for r in dict.fromkeys(crossing) if isinstance(r, int) and r not in enters]
    module = _Operations(program, first, last, wanted).eval()
    zeros = [
        torch.zeros(shape, dtype=getattr(torch, dtype))
        for shape, dtype in _signature(program, first, one_position)
    ]
    stored = [weights[str(name)] for name in module.enters[len(zeros) :]]
    names = list(map(value_name, module.enters)), list(map(value_name, wanted))
    # What torch.onnx simplifies is faster, but it may lead a value past one that crosses a cut.
    for simplified in (True, False):
        try:
            proto = _translated(module, (*zeros, *stored), *names, simplified)
            graph = _pieces(proto, program, first, last, one_position)
        except CannotCut as error:
            if not simplified:
                raise CannotExport(str(error)) from error
        else:
            path.write_text(json.dumps(graph.to_plain(), separators=(',', ':')))
            return


def _translated(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    enters: list[str],
    leaves: list[str],
    simplified: bool,
) -> Any:
    """Return a module as an ONNX model without weights.

    :raises CannotExport: ONNX cannot say something in it.
    """
    try:
        with torch.inference_mode(False), torch.no_grad():
            made = torch.onnx.export(
                module,
                inputs,
                dynamo=True,
                input_names=enters,
                output_names=leaves,
                optimize=simplified,
                verbose=False,
            )
    except Exception as error:  # whatever the exporter raises
        raise CannotExport(f'torch.onnx: {_cause(error)}') from error
    assert made is not None
    proto = onnx_ir.serde.serialize_model(made.model)
    if proto.functions:
        raise CannotExport(f'torch.onnx left {proto.functions[0].name} as a function of its own')
    own_graph = [
        node.op_type
        for node in proto.graph.node
        for attribute in node.attribute
        if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    ]
    if own_graph:
        raise CannotExport(f'{own_graph[0]} has a graph of its own')
    return proto


def _pieces(proto: Any, program: Program, first: int, last: int, one_position: bool) -> OnnxGraph:
    """Return a graph in pieces, cut wherever the program may be.

    :param one_position: of a text, where the program tells of all.
    :raises CannotCut: something is computed past the values that cross a cut.
    """
    places = [place for place in range(first, last + 1) if program.live[place]]
    live = [tuple(map(value_name, program.live[place])) for place in places]
    sorts: dict[str, tuple[tuple[int, ...], str]] = {}
    for place in places:
        names = map(value_name, program.live[place])
        sorts |= dict(zip(names, _signature(program, place, one_position), strict=True))
    makers = {out: number for number, node in enumerate(proto.graph.node) for out in node.output}
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    inputs = {value.name: value for value in proto.graph.input}
    segments = [
        _segment(given, wanted, makers, proto.graph.node) for given, wanted in pairwise(live)
    ]
    named = {name for segment in segments for name in segment.initializers}
    lost = sorted(name for name in named - constants.keys() if not name.startswith(STORED))
    if lost:
        raise CannotCut(f'torch.onnx computes something from {lost[0]} that crosses no cut')
    return OnnxGraph(
        header=onnx.ModelProto(
            ir_version=proto.ir_version, opset_import=proto.opset_import
        ).SerializeToString(),
        nodes=tuple(_piece(node=[node]) for node in proto.graph.node),
        initializers={
            name: _piece(
                initializer=[constants[name] if name in constants else _outside(inputs[name])]
            )
            for name in sorted(named)
        },
        inputs={name: _piece(input=[_value(name, sort)]) for name, sort in sorts.items()},
        outputs={
            name: _piece(
                node=[onnx.helper.make_node('Identity', [name], [f'{name}:out'])],
                output=[_value(f'{name}:out', sort)],
            )
            for name, sort in sorts.items()
        },
        places=tuple(places),
        live=tuple(live),
        segments=tuple(segments),
    )


def _signature(program: Program, place: int, one_position: bool) -> Signature:
    """Return the signature at a place, of all positions of a text or of one."""
    signature = program.signature(place)
    if not one_position:
        return signature
    return tuple(((shape[0], 1, *shape[2:]), dtype) for shape, dtype in signature)


def _segment(
    given: Sequence[str], wanted: Sequence[str], makers: Mapping[str, int], nodes: Any
) -> Segment:
    """Return what computes some values from others."""
    needed: set[int] = set()
    initializers: dict[str, None] = {}
    seen, stack = {*given, ''}, list(wanted)
    while stack:
        name = stack.pop()
        if name in seen:
            continue
        seen.add(name)
        if (maker := makers.get(name)) is None:
            initializers[name] = None
        else:
            needed.add(maker)
            stack += nodes[maker].input
    return Segment(nodes=tuple(sorted(needed)), initializers=tuple(initializers))


def _piece(**fields: Any) -> bytes:
    piece: bytes = onnx.ModelProto(graph=onnx.GraphProto(**fields)).SerializeToString()
    return piece


def _outside(value: Any) -> Any:
    """Return a stored tensor, which entered as an input, as an initializer without its data."""
    tensor = onnx.TensorProto(
        name=value.name,
        data_type=value.type.tensor_type.elem_type,
        dims=[dim.dim_value for dim in value.type.tensor_type.shape.dim],
        data_location=onnx.TensorProto.EXTERNAL,
    )
    tensor.external_data.add(key='location', value='stored')
    return tensor


_KINDS = {'float32': 'FLOAT', 'float64': 'DOUBLE'}


def _value(name: str, sort: tuple[tuple[int, ...], str]) -> Any:
    shape, dtype = sort
    kind = getattr(
        onnx.TensorProto, {'float32': 'FLOAT', 'float64': 'DOUBLE'}.get(dtype, dtype.upper())
    )
    return onnx.helper.make_tensor_value_info(name, kind, shape)


def value_name(reference: Reference) -> str:
    """Return the name in a graph of what a program refers to."""
    return f'{STORED}{reference}' if isinstance(reference, str) else f'r{reference}'


def _cause(error: BaseException) -> str:
    """Return the first line of the error that began a chain of them."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f'{type(error).__name__}: {lines[0] if lines else "no message"}'


# --- checking -----------------------------------------------------------------------------------


def _compare(
    program: Program,
    places: Sequence[int],
    weights: Mapping[str, Tensor],
    inputs: tuple[Tensor, ...],
    path: Path,
) -> float:
    """Run units on torch and as sessions, each on what its predecessors gave.

    :returns: the largest error of a boundary or output, as a share of its largest value.
    :raises CannotExport: it is too large, or the best classes are others.
    """
    graph = OnnxGraph.read(path)
    exact: tuple[Tensor, ...] = inputs
    found: Arrays = tuple(tensor.numpy() for tensor in inputs)
    worst = 0.0
    for first, last in pairwise(places):
        before = exact, found
        with torch.inference_mode():
            exact = Interpreter(program, first, last, weights, CPU)(*exact)
        found = _run(graph, first, last, weights, found)
        worst = max(worst, _worst_error(exact, found, f'operation {last}'))
    wanted, given = exact[0].numpy(), found[0]
    if wanted.ndim != 2 or wanted.dtype.kind != 'f':
        return worst
    if np.ptp(wanted) < LEAST_SPREAD:
        wanted, given = (_stand_in(side[-1]) for side in before)
    if not np.array_equal(_best(wanted), _best(given)):
        raise CannotExport(f'its {TOP} best classes are {_best(given)}, torch has {_best(wanted)}')
    return worst


def _run(
    graph: OnnxGraph, first: int, last: int, weights: Mapping[str, Tensor], arrays: Arrays
) -> Arrays:
    fragment = graph.fragment(first, last)
    stored = {name: weights[name].numpy() for name in fragment.stored}
    providers: list[tuple[str, dict[str, str]]] = [('CPUExecutionProvider', {})]
    try:
        return Session(fragment, stored, providers, torch.get_num_threads()).run(arrays)
    except Exception as error:  # the runtime's errors have no kind in common
        raise CannotExport(f'ONNX Runtime cannot run it: {_cause(error)}') from error


def _worst_error(exact: Sequence[Tensor], found: Arrays, where: str) -> float:
    worst = 0.0
    for wanted, given in zip((tensor.numpy() for tensor in exact), found, strict=True):
        if wanted.shape != given.shape or wanted.dtype != given.dtype:
            raise CannotExport(
                f'before {where} it gives {given.dtype}{given.shape}, torch '
                f'{wanted.dtype}{wanted.shape}'
            )
        if wanted.dtype.kind != 'f':
            error = 0.0 if np.array_equal(wanted, given) else np.inf
        else:
            largest = float(np.max(np.abs(wanted), initial=0.0))
            away = float(np.max(np.abs(wanted - given), initial=0.0))
            error = away / largest if largest else away
        if not error <= TOLERANCE:
            raise CannotExport(
                f'before {where} it is {error:.2g} of the largest value away from torch, more '
                f'than {TOLERANCE:g}'
            )
        worst = max(worst, error)
    return worst


def _stand_in(last: Any) -> np.ndarray[Any, Any]:
    """Return what a head of random weights makes of a tensor: (1, STAND_IN_CLASSES)."""
    flat = np.asarray(last, np.float64).reshape(1, -1)
    head = np.random.default_rng(0).standard_normal((flat.shape[1], STAND_IN_CLASSES))
    result: np.ndarray[Any, Any] = flat @ head
    return result


def _best(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    best: np.ndarray[Any, Any] = np.argsort(-logits[0], kind='stable')[:TOP]
    return best


def _inputs(request: ModelRequest, signature: Signature) -> Iterator[tuple[Tensor, ...]]:
    """Yield inputs to compare on: a random one, and photographs where they are installed."""
    ((shape, _),) = signature
    yield random_inputs(request, shape)
    if request.tokens is None and len(shape) == 4 and shape[1] == 3:
        try:
            from skimage import data
        except ImportError:  # it comes with the demo
            return
        for photograph in (data.astronaut(), data.coffee()):
            image = torch.from_numpy(photograph.copy()).permute(2, 0, 1)[None].float() / 255
            image = nn.functional.interpolate(image, shape[2:], mode='bilinear', antialias=True)
            yield ((image - 0.45) / 0.225,)


def _random(sort: tuple[tuple[int, ...], str], seed: int) -> Tensor:
    shape, dtype = sort
    kind = getattr(torch, dtype)
    if not kind.is_floating_point:
        return torch.zeros(shape, dtype=kind)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(kind)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix('torch.')


def _stored(
    directory: Path, tensors: Mapping[str, tuple[str, str, str]]
) -> dict[str, StoredTensor]:
    return {
        name: StoredTensor(file=str(directory / file), key=key, dtype=dtype)
        for name, (file, key, dtype) in tensors.items()
    }


def main() -> int:
    """Export for another process; a ModelError goes to it as one line of JSON."""
    request, built, heads, directory, parent = sys.argv[1:6]
    if not ask_for_signal_at_parents_death(int(parent)):
        return 1
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    try:
        export(
            read_request(json.loads(request)),
            read_entry(Path(built)),
            read_built_heads(Path(heads)) if heads else None,
            Path(directory),
        )
    except ModelError as error:
        print(ERROR_MARK + json.dumps(error.fields()), file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
