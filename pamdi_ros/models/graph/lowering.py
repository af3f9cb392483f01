# SPDX-License-Identifier: Apache-2.0
"""From a flow to a program: the ATen calls that each of its operations makes. Builders only.

Every operation runs once on real tensors in inference mode, where torch hands composite operators
(linear, batch_norm, scaled_dot_product_attention) to a dispatch mode whole. What is recorded is so
what the module itself calls, kernel by kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pamdi_ros.models.graph.capture import CaptureError, first_line, leaf_tensors, with_tensors
from pamdi_ros.models.graph.flow import DataFlow
from pamdi_ros.models.graph.interpreter import encode, encode_literal, is_allowed, signature_of
from pamdi_ros.models.graph.measure import storage_key, tensors_of
from pamdi_ros.models.graph.program import GETITEM, Instruction, Program, Reference
import torch
from torch import fx, nn, Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

LARGEST_LITERAL = 1024  # elements of a tensor that an operation makes from Python numbers
_ATEN = torch.ops.aten
#: Their result is their first argument, whatever its layout.
_SAME = (
    _ATEN.detach.default, _ATEN.detach_.default, _ATEN.alias.default, _ATEN.lift_fresh.default,
    _ATEN.lift_fresh_copy.default,
)  # fmt: skip
#: Views through which a change can be written back, and what does so.
_WRITE_BACK = {
    _ATEN.slice.Tensor: 'aten.slice_scatter.default',
    _ATEN.select.int: 'aten.select_scatter.default',
}
#: They write into the statistics (arguments 3 and 4) where argument 5 is true.
_LEARNING = (_ATEN.batch_norm.default, _ATEN.instance_norm.default)


def lower(
    flow: DataFlow,
    stored: Mapping[str, str],
    tensors: Mapping[str, Tensor],
    inputs: tuple[Tensor, ...],
    narrow_from: int | None,
) -> tuple[Program, tuple[Tensor, ...]]:
    """Return a flow's program, and what its narrow form gave (empty without one).

    :param stored: graph name -> stored name; `tensors` is by stored name.
    :param inputs: real ones.
    :param narrow_from: the first operation that may run on one position of a text; None: none.
    :raises CaptureError: an operation writes into a tensor, or is no operator of torch's.
    """
    whole = _Lowering(flow, stored, tensors, 0)
    constants = tuple(map(whole.run, flow.cone(0, len(flow.order))))
    for node, value in zip(flow.inputs, inputs, strict=True):
        whole.give(node, value)
    narrow: _Lowering | None = None
    last_use = {source: node for node in flow.order for source in node.all_input_nodes}
    last_use |= dict.fromkeys(flow.outputs)
    operations = []
    for index, node in enumerate(flow.order):
        if index == narrow_from:
            narrow = whole.narrowed(index)
        operations.append(whole.run(node))
        for source in dict.fromkeys(node.all_input_nodes):
            if last_use[source] is node:
                whole.forget(source)
    program = whole.program(constants, operations)
    if narrow is None or narrow_from is None:
        return program, ()
    head = [()] * narrow_from
    tail = narrow.program(constants, [*head, *map(narrow.run, flow.order[narrow_from:])])
    outputs = tuple(tensor for node in flow.outputs for tensor in tensors_of(narrow.value(node)))
    same = (program.operations[narrow_from:], program.live[narrow_from:]) == (
        tail.operations[narrow_from:],
        tail.live[narrow_from:],
    )
    if same:
        return program, outputs
    fields = ('constants', 'operations', 'live', 'values')
    return Program(**{name: getattr(program, name) for name in fields}, narrow=tail), outputs


def lower_module(
    module: nn.Module, names: Mapping[str, Tensor], inputs: tuple[Tensor, ...]
) -> Program:
    """Return a whole module, called once, as a program of one operation.

    Control flow that depends on values would be frozen into it: try it on other inputs.

    :param names: the tensors that it may read, by the name under which they are stored.
    :raises CaptureError: as :func:`lower` does.
    """
    recorder = _Recorder(len(inputs))
    for name, tensor in names.items():
        recorder.know(tensor, name)
    given = tuple(tensor.detach() for tensor in inputs)
    for register, tensor in enumerate(given):
        recorder.know(tensor, register)
    result = recorder.record(lambda: module(*given))
    references = [recorder.reference(tensor) for tensor in tensors_of(result)]
    known = [*range(len(inputs)), *references]
    values = signature_of((*inputs, *tensors_of(result)))
    return Program(
        constants=(),
        operations=(tuple(recorder.instructions),),
        live=(tuple(range(len(inputs))), tuple(references)),
        values=dict(zip(map(str, known), values, strict=True)),
    )


class _Lowering:
    """Run the operations of a flow one by one, and remember where each value lies."""

    def __init__(
        self,
        flow: DataFlow,
        stored: Mapping[str, str],
        tensors: Mapping[str, Tensor],
        register: int,
    ) -> None:
        self._flow = flow
        self._stored = stored
        self._tensors = tensors
        self._next = register
        self._values: dict[fx.Node, Any] = {}
        self._references: dict[fx.Node, list[Reference]] = {}
        self._signatures: dict[str, tuple[tuple[int, ...], str]] = {}
        self._constant_nodes = dict.fromkeys(flow.cone(0, len(flow.order)))

    def give(self, node: fx.Node, value: Tensor) -> None:
        """Set the value of a node that enters."""
        self._set(node, value, [self._next])
        self._next += 1

    def value(self, node: fx.Node) -> Any:
        """Return the value of a node that has run."""
        return self._values[node]

    def forget(self, node: fx.Node) -> None:
        """Let the value of a node go, unless no input decides it."""
        if node not in self._constant_nodes:
            del self._values[node]

    def narrowed(self, place: int) -> _Lowering:
        """Return another that goes on from here with the last position of what crosses."""
        other = _Lowering(self._flow, self._stored, self._tensors, self._next)
        (crossing,) = self._flow.live[place]
        for node in (*self._constant_nodes, crossing):
            value = self._values[node]
            other._set(
                node, value[:, -1:].clone() if node is crossing else value, self._references[node]
            )
        return other

    def run(self, node: fx.Node) -> tuple[Instruction, ...]:
        """Run a node; return the instructions that do the same."""
        if node.op == 'get_attr':
            name = self._stored[str(node.target)]
            self._set(node, self._tensors[name], [name])
            return ()
        recorder = _Recorder(self._next)
        fresh: dict[int, Tensor] = {}
        args, kwargs = fx.map_arg(
            (node.args, node.kwargs), lambda n: self._fresh(n, recorder, fresh)
        )  # fmt: skip
        call = self._callable(node, recorder)
        try:
            result = recorder.record(lambda: call(*args, **kwargs))
        except CaptureError as error:
            raise CaptureError(f'{node.format_node()}: {error}') from error
        references = [recorder.reference(tensor) for tensor in tensors_of(result)]
        self._set(node, result, references)
        self._next = recorder.register
        return tuple(recorder.instructions)

    def program(
        self,
        constants: Sequence[tuple[Instruction, ...]],
        operations: Sequence[tuple[Instruction, ...]],
    ) -> Program:
        """Return the program, after all has run."""
        live = tuple(
            tuple(
                reference for node in nodes for reference in self._references.get(node, ())
            ) if self._flow.crossing(place) else ()
            for place, nodes in enumerate(self._flow.live)
        )  # fmt: skip
        crossing = {str(reference) for references in live for reference in references}
        return Program(
            constants=tuple(constants),
            operations=tuple(operations),
            live=live,
            values={key: self._signatures[key] for key in sorted(crossing)},
        )

    def _set(self, node: fx.Node, value: Any, references: list[Reference]) -> None:
        self._values[node] = value
        self._references[node] = references
        found = signature_of(tensors_of(value))
        self._signatures |= zip(map(str, references), found, strict=True)

    def _fresh(self, node: fx.Node, recorder: _Recorder, fresh: dict[int, Tensor]) -> Any:
        """Return a node's value as new tensor objects, so that each object is one register.

        What was one object stays one: attention projects ``query is key`` otherwise.

        :param fresh: of the same operation, by the old object's id.
        """
        leaves, structure = tree_flatten(self._values[node])
        references = iter(self._references[node])
        for index, leaf in enumerate(leaves):
            if not isinstance(leaf, Tensor):
                continue
            reference = next(references)
            if id(leaf) not in fresh:
                fresh[id(leaf)] = leaf.detach()
                recorder.know(fresh[id(leaf)], reference)
            leaves[index] = fresh[id(leaf)]
        return tree_unflatten(leaves, structure)

    def _callable(self, node: fx.Node, recorder: _Recorder) -> Callable[..., Any]:
        if node.op == 'call_module':
            leaf = self._flow.captured.root.get_submodule(str(node.target))
            names = {name: self._stored[f'{node.target}.{name}'] for name, _ in leaf_tensors(leaf)}
            copy = with_tensors(leaf, {name: self._tensors[names[name]] for name in names})
            for name, tensor in leaf_tensors(copy):
                recorder.know(tensor, names[name])
            return copy
        if node.op == 'call_method':
            return lambda this, *args, **kwargs: getattr(this, str(node.target))(*args, **kwargs)
        if node.op == 'call_function' and callable(node.target):
            return node.target
        raise CaptureError(f'{node.format_node()} cannot be run')


class _Recorder(TorchDispatchMode):
    """Write down the operators that are called.

    :param register: the first that is free.
    """

    def __init__(self, register: int) -> None:
        super().__init__()
        self.register = register
        self.instructions: list[Instruction] = []
        self._known: dict[int, tuple[Tensor, dict[str, Any]]] = {}  # by the object's id
        self._born_here: set[int] = set()  # ids
        self._stale: set[int] = set()  # ids of those whose memory was changed through another
        self._views: dict[int, tuple[Tensor, Any, tuple[Any, ...]]] = {}  # id -> of what, how

    def know(self, tensor: Tensor, reference: Reference) -> None:
        """Tell where a tensor lies that is given."""
        kind = 'tensor' if isinstance(reference, str) else 'register'
        self._known[id(tensor)] = (tensor, {kind: reference})

    def record(self, run: Callable[[], Any]) -> Any:
        """Run a thunk.

        :raises CaptureError: with its message where it fails.
        """
        try:
            with torch.inference_mode(), self:
                return run()
        except CaptureError:
            raise
        except Exception as error:  # whatever the operation raises
            raise CaptureError(f'{type(error).__name__}: {first_line(error)}') from error

    def reference(self, tensor: Tensor) -> Reference:
        """Return where a result lies.

        :raises CaptureError: it came about otherwise than by operators.
        """
        plain = self._refer(tensor)
        if 'literal' in plain:
            plain = self._call('aten.clone.default', [plain], {}, tensor)
        found: Reference = plain['tensor'] if 'tensor' in plain else plain['register']
        return found

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in (_ATEN.lift_fresh.default, _ATEN.lift_fresh_copy.default):
            self._know_literal(args[0])
        written, changed = func, None
        if func._schema.is_mutable and func not in _SAME:
            written, changed = self._out_of_place(func, args, kwargs), args[0]
        if func in _LEARNING and args[5] and args[3] is not None:
            raise CaptureError(f'{func} would learn')
        result = func(*args, **kwargs)
        if func in _SAME or (func is _ATEN.dropout.default and result is args[0]):
            self._known[id(result)] = (result, self._refer(args[0]))
            return result
        if not written._schema.returns:  # an assertion
            return result
        if not is_allowed(written):
            raise CaptureError(f'{func} is no operation that a program may have')
        self._write(written, args, kwargs, result)
        if func in _WRITE_BACK and not kwargs:
            self._views[id(result)] = (args[0], func, args[1:])
        if changed is not None:
            self._write_back(changed)
        return result

    def _write(self, func: Any, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        schema = func._schema
        kinds = [str(argument.type) for argument in schema.arguments]
        names = [argument.name for argument in schema.arguments]
        if 'device' in names and not any('Tensor' in kind for kind in kinds):
            at = names.index('device')
            if len(args) <= at:
                kwargs['device'] = torch.device('cpu')  # written as the unit's, whichever it is
        try:
            plain_args = [encode(value, self._refer) for value in args]
            plain_kwargs = {name: encode(value, self._refer) for name, value in kwargs.items()}
        except ValueError as error:
            raise CaptureError(f'{func}: {error}') from error
        target = f'{func.namespace}.{func._opname}.{func._overloadname}'
        self._call(target, plain_args, plain_kwargs, result)

    def _call(
        self, target: str, args: list[Any], kwargs: dict[str, Any], result: Any
    ) -> dict[str, Any]:
        out = self.register
        self.register += 1
        self.instructions.append(
            Instruction(out=out, target=target, args=args, kwargs=kwargs)
        )  # fmt: skip
        whole = {'register': out}
        if isinstance(result, Tensor):
            self._born(result, whole)
        else:
            for index, part in enumerate(result):
                if isinstance(part, Tensor):
                    self._call(GETITEM, [whole, index], {}, part)
        return whole

    def _born(self, tensor: Tensor, reference: dict[str, Any]) -> None:
        self._known[id(tensor)] = (tensor, reference)
        self._born_here.add(id(tensor))

    def _refer(self, tensor: Tensor) -> dict[str, Any]:
        if id(tensor) not in self._known:
            raise CaptureError('a tensor comes from outside of the model and its input')
        if id(tensor) in self._stale:
            raise CaptureError('a tensor is changed in place through a view of it')
        return self._known[id(tensor)][1]

    def _know_literal(self, tensor: Tensor) -> None:
        """Take a tensor that Python numbers were made into."""
        if id(tensor) not in self._known:
            if tensor.numel() > LARGEST_LITERAL:
                raise CaptureError(f'a constant of {tensor.numel()} numbers is no tensor of it')
            self._born(tensor, encode_literal(tensor))

    def _out_of_place(self, func: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
        """Return the operator that gives a new tensor instead of changing one that was born here.

        :raises CaptureError: there is none, or the change would be seen elsewhere.
        """
        name = str(func._opname)
        packet = getattr(_ATEN, name[:-1], None) if name.endswith('_') else None
        same = packet is not None and func._overloadname in packet.overloads()
        if not same or not args or not isinstance(args[0], Tensor) or 'out' in kwargs:
            raise CaptureError(f'{func} writes into a tensor')
        memory = storage_key(args[0])
        for tensor, _ in self._known.values():
            if storage_key(tensor) == memory and id(tensor) not in self._born_here:
                raise CaptureError(f'{func} writes into a tensor that it was given')
        return getattr(packet, func._overloadname)

    def _write_back(self, changed: Tensor) -> None:
        """Bring a change in place to what the tensor is a view of; what else sees it is stale."""
        chain = {id(changed)}
        view = changed
        while id(view) in self._views:
            base, func, how = self._views[id(view)]
            plain = [encode(value, self._refer) for value in (base, view, *how)]
            self._call(_WRITE_BACK[func], plain, {}, base)
            chain.add(id(base))
            view = base
        memory = storage_key(changed)
        self._stale |= {
            key for key, (tensor, _) in self._known.items()
            if key not in chain and storage_key(tensor) == memory
        }  # fmt: skip
