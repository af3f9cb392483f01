# SPDX-License-Identifier: Apache-2.0
"""What runs a range of a program's operations on torch, names looked up among its operators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from itertools import chain
import operator
import re
from typing import Any

from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.graph.program import (
    GETITEM,
    Instruction,
    Program,
    Reference,
    references_in,
    Signature,
)
import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]
_Reader = Callable[[list[Any]], Sequence[Any]]

_NAME = re.compile(r'(aten|torchvision)\.(\w+)\.(\w+)', re.ASCII)
_FORBIDDEN = ('from_file',)  # it reads what the program names
_RETURNS = ('Tensor', 'List[Tensor]')


def check_operations(program: Program) -> None:
    """Check that a program consists of operations of the allow-list.

    :raises ModelError: naming the first that does not belong to it.
    """
    groups = chain(program.constants, program.operations)
    for instruction in chain.from_iterable(groups):
        resolve(instruction.target)
    if program.narrow is not None:
        check_operations(program.narrow)


class Interpreter:
    """Operations [first, last) of a program on a device: tensors in, tuple of tensors out.

    Values are let go after their last use. Nothing it is given changes, for no operation of the
    allow-list writes into its arguments.

    :param program: theirs.
    :param weights: at least the stored tensors that they read, on `device`.
    :raises ModelError: the program is damaged.
    """

    __slots__ = ('_initial', '_result', '_steps', 'input_count', 'tensors')

    def __init__(
        self,
        program: Program,
        first: int,
        last: int,
        weights: Mapping[str, Tensor],
        device: torch.device,
    ) -> None:
        frame = _Frame(program.live[first], weights, device)
        for instruction in program.instructions(first, last):
            frame.add(instruction)
        self.input_count = len(program.live[first])
        self._result = _reader(list(map(frame.reference, program.live[last])))
        self._steps = frame.steps(map(frame.reference, program.live[last]))
        self._initial = frame.initial
        self.tensors = {name: weights[name] for name in program.tensor_names(first, last)}

    def __call__(self, *tensors: Tensor) -> Tensors:
        """Run them.

        :raises ModelError: another number of tensors is given than enters.
        """
        if len(tensors) != self.input_count:
            raise ModelError('tensors', len(tensors), f'{self.input_count} are wanted')
        registers = self._initial.copy()
        registers[: self.input_count] = tensors
        del tensors
        for call, read, out, free in self._steps:
            registers[out] = call(*read(registers))
            for index in free:
                registers[index] = None
        return tuple(self._result(registers))


class _Frame:
    """The registers of an interpreter while it is made: inputs, literals and weights, values."""

    def __init__(
        self, inputs: Sequence[Reference], weights: Mapping[str, Tensor], device: torch.device
    ) -> None:
        self.initial: list[Any] = [None] * len(inputs)
        self._weights = weights
        self._device = device
        self._slots: dict[Any, int] = {reference: at for at, reference in enumerate(inputs)}
        self._lasting: set[int] = set()  # literals and weights, which stay
        self._steps: list[tuple[Callable[..., Any], list[int], int]] = []

    def add(self, instruction: Instruction) -> None:
        """Append an instruction."""
        call = resolve(instruction.target)
        slots = [self._slot(value) for value in instruction.args]
        kwargs = dict(instruction.kwargs)
        if any(True for _ in references_in(list(kwargs.values()))):  # rare: such as a sorter
            call = partial(_call_with_names, call, len(slots), tuple(kwargs))
            slots += [self._slot(value) for value in kwargs.values()]
        elif kwargs:
            plain = {name: decode(value, self._device) for name, value in kwargs.items()}
            call = partial(call, **plain)
        self._append(call, slots, instruction.out)

    def reference(self, reference: Reference) -> int:
        """Return the slot of a register or stored tensor."""
        if reference not in self._slots:
            if not isinstance(reference, str):
                raise ModelError('program', reference, 'a register is read before it is filled')
            self._slots[reference] = self._keep(self._weights[reference])
        return self._slots[reference]

    def steps(
        self, results: Iterable[int]
    ) -> tuple[tuple[Callable[..., Any], _Reader, int, tuple[int, ...]], ...]:
        """Return the steps, each with the slots that nothing reads after it.

        :param results: slots that are read at the end.
        """
        seen = {*results, *self._lasting}
        steps = []
        for call, slots, out in reversed(self._steps):
            last_uses = tuple(dict.fromkeys(slot for slot in (*slots, out) if slot not in seen))
            seen.update(last_uses)
            steps.append((call, _reader(slots), out, last_uses))
        return tuple(reversed(steps))

    def _slot(self, value: Any) -> int:
        if isinstance(value, list) and any(True for _ in references_in(value)):
            self._append(_pack, [self._slot(item) for item in value], object())
            return len(self.initial) - 1
        for reference in references_in([value]):
            return self.reference(reference)
        key = repr(value)
        literal = ('literal', key)
        if literal not in self._slots:
            self._slots[literal] = self._keep(decode(value, self._device))
        return self._slots[literal]

    def _append(self, call: Callable[..., Any], slots: list[int], out: Any) -> None:
        if out in self._slots:
            raise ModelError('program', out, 'a register is filled twice')
        self._slots[out] = len(self.initial)
        self.initial.append(None)
        self._steps.append((call, slots, self._slots[out]))

    def _keep(self, value: Any) -> int:
        self.initial.append(value)
        self._lasting.add(len(self.initial) - 1)
        return len(self.initial) - 1


@cache
def resolve(target: str) -> Callable[..., Any]:
    """Return what an instruction calls.

    :raises ModelError: as :func:`resolve_overload`.
    """
    if target == GETITEM:
        return operator.getitem
    # Its own __call__ would be one more Python frame an operation.
    call: Callable[..., Any] = resolve_overload(target)._op
    return call


def resolve_overload(target: str) -> Any:
    """Return an operator of torch's by the name that a program has for it.

    :raises ModelError: it is not in the allow-list: operators of ATen and torchvision that give
        tensors and write into nothing.
    """
    match = _NAME.fullmatch(target)
    found = None
    if match is not None and match[2] not in _FORBIDDEN:
        if match[1] == 'torchvision':
            import torchvision  # noqa: F401 - it registers its operators

        packet = getattr(getattr(torch.ops, match[1]), match[2], None)
        found = getattr(packet, match[3], None)
    if not isinstance(found, torch._ops.OpOverload) or not is_allowed(found):
        raise ModelError(
            'program', target, 'is no operation that a model may consist of',
            'Delete the directory of the model in the cache.',
        )  # fmt: skip
    return found


def is_allowed(overload: Any) -> bool:
    """Return whether programs may call an operator."""
    schema = overload._schema
    return (
        overload.namespace in ('aten', 'torchvision')
        and schema.name.partition('::')[2] not in _FORBIDDEN
        and not schema.is_mutable
        and len(schema.returns) > 0
        and all(str(value.type) in _RETURNS for value in schema.returns)
    )


def encode(value: Any, refer: Callable[[Tensor], dict[str, Any]]) -> Any:
    """Return an operator's argument as plain JSON.

    :param refer: gives a tensor's.
    :raises ValueError: it cannot be written so.
    """
    if isinstance(value, Tensor):
        return refer(value)
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        finite = value - value == 0
        return value if finite else {'float': repr(value)}
    if isinstance(value, list | tuple):
        return [encode(item, refer) for item in value]
    if isinstance(value, torch.device):
        return {'device': 'unit'}  # whatever device the unit is on
    for kind, name in _TORCH_NAMES.items():
        if isinstance(value, kind):
            return {name: str(value).removeprefix('torch.')}
    raise ValueError(f'a {type(value).__name__} cannot be an argument')


def encode_literal(tensor: Tensor) -> dict[str, Any]:
    """Return a small tensor with its values."""
    dtype = str(tensor.dtype).removeprefix('torch.')
    flat = [encode(value, encode_literal) for value in tensor.flatten().tolist()]
    return {'literal': [dtype, list(tensor.shape), flat]}


def decode(value: Any, device: torch.device) -> Any:
    """Return what :func:`encode` was given, tensors by reference excluded.

    :raises ModelError: it is something else.
    """
    if isinstance(value, list):
        return [decode(item, device) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((kind, content),) = value.items()
        if kind == 'float' and content in ('inf', '-inf', 'nan'):
            return float(content)
        if kind == 'device':
            return device
        if kind == 'literal':
            dtype, shape, flat = content
            values = decode(flat, device)
            return torch.tensor(values, dtype=getattr(torch, dtype), device=device).reshape(shape)
        for wanted, name in _TORCH_NAMES.items():
            if kind == name and isinstance(found := getattr(torch, str(content), None), wanted):
                return found
    raise ModelError('program', value, 'is no argument of an operation')


def signature_of(tensors: Iterable[Tensor]) -> Signature:
    """Return shape and dtype name of tensors."""
    return tuple(
        (tuple(tensor.shape), str(tensor.dtype).removeprefix('torch.')) for tensor in tensors
    )


_TORCH_NAMES: Mapping[type, str] = {
    torch.dtype: 'dtype',
    torch.layout: 'layout',
    torch.memory_format: 'memory_format',
}


def _reader(slots: Sequence[int]) -> _Reader:
    """Return a function that picks slots out of the registers, without a loop in Python."""
    if len(slots) > 1:
        return operator.itemgetter(*slots)
    first = slots[0] if slots else 0
    return operator.itemgetter(slice(first, first + len(slots)))


def _pack(*items: Any) -> list[Any]:
    return list(items)


def _call_with_names(
    call: Callable[..., Any], positional: int, names: Sequence[str], *values: Any
) -> Any:
    named = dict(zip(names, values[positional:], strict=True))
    return call(*values[:positional], **named)
