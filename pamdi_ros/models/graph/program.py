# SPDX-License-Identifier: Apache-2.0
"""A model as data: ATen operations from an allow-list. No torch.

A builder process writes a program (:mod:`pamdi_ros.models.graph.lowering`), an executor reads it.
It traces nothing, patches nothing, and executes no text: :mod:`.interpreter` looks names up among
torch's operators.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pamdi_ros.models.errors import ModelError

Signature = tuple[tuple[tuple[int, ...], str], ...]
#: A register's number, or the stored name of a tensor.
Reference = int | str

FORMAT = 1
GETITEM = 'getitem'  # of an operation that gives several tensors


@dataclass(frozen=True, kw_only=True, slots=True)
class Instruction:
    """One call of an operator.

    :param out: register of its result.
    :param target: such as ``aten.conv2d.default``, or GETITEM.
    :param args: plain JSON, as :func:`encode` gives it.
    :param kwargs: likewise.
    """

    out: int
    target: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]

    def references(self) -> Iterator[Reference]:
        """Return the registers and stored tensors that it reads, repeated ones too."""
        return references_in([*self.args, *self.kwargs.values()])


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A model's operations in order; place i lies before operation i.

    :param constants: instructions of each value that no input decides, in order.
    :param operations: instructions of each operation.
    :param live: what crosses each place; empty where no cut is possible.
    :param values: (shape, dtype name) of what crosses, by reference.
    :param narrow: the same for one position of a text instead of all, where it differs.
    """

    constants: tuple[tuple[Instruction, ...], ...]
    operations: tuple[tuple[Instruction, ...], ...]
    live: tuple[tuple[Reference, ...], ...]
    values: Mapping[str, tuple[tuple[int, ...], str]]
    narrow: Program | None = None

    def signature(self, place: int) -> Signature:
        """Return shape and dtype name of the tensors that cross a place."""
        return tuple(self.values[str(reference)] for reference in self.live[place])

    def instructions(self, first: int, last: int) -> list[Instruction]:
        """Return what computes operations [first, last), constants that they read first.

        :raises ModelError: something is read that nothing gives.
        """
        own = list(chain.from_iterable(self.operations[first:last]))
        given = {*self.live[first], *(instruction.out for instruction in own)}
        makers = {
            instruction.out: index
            for index, group in enumerate(self.constants)
            for instruction in group
        }
        wanted: set[int] = set()
        stack = [*chain.from_iterable(map(Instruction.references, own)), *self.live[last]]
        while stack:
            reference = stack.pop()
            if isinstance(reference, str) or reference in given:
                continue
            if reference not in makers:
                raise ModelError('program', reference, 'a register is read that nothing fills')
            if (index := makers[reference]) not in wanted:
                wanted.add(index)
                stack += chain.from_iterable(
                    map(Instruction.references, self.constants[index])
                )  # fmt: skip
        before = chain.from_iterable(self.constants[index] for index in sorted(wanted))
        return [*before, *own]

    def tensor_names(self, first: int, last: int) -> tuple[str, ...]:
        """Return the stored tensors that operations [first, last) read, each once."""
        read = chain.from_iterable(
            map(Instruction.references, self.instructions(first, last))
        )  # fmt: skip
        every = (*read, *self.live[last])
        return tuple(dict.fromkeys(name for name in every if isinstance(name, str)))

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            'format': FORMAT,
            'constants': list(map(_plain_group, self.constants)),
            'operations': list(map(_plain_group, self.operations)),
            'live': list(map(list, self.live)),
            'values': {key: [list(shape), dtype] for key, (shape, dtype) in self.values.items()},
            'narrow': None if self.narrow is None else self.narrow.to_plain(),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Program:
        """Read what :meth:`to_plain` gave.

        :raises ValueError: or KeyError, TypeError, AttributeError: where it is something else.
        """
        if plain['format'] != FORMAT:
            raise ValueError(f'format {plain["format"]!r} is not {FORMAT}')
        program = cls(
            constants=tuple(map(_read_group, plain['constants'])),
            operations=tuple(map(_read_group, plain['operations'])),
            live=tuple(tuple(map(_read_reference, live)) for live in plain['live']),
            values={
                key: (tuple(map(int, shape)), str(dtype))
                for key, (shape, dtype) in plain['values'].items()
            },
            narrow=None if plain['narrow'] is None else cls.from_plain(plain['narrow']),
        )
        if len(program.live) != len(program.operations) + 1:
            raise ValueError('places and operations do not fit')
        if any(str(reference) not in program.values for reference in chain(*program.live)):
            raise ValueError('a value that crosses a place has no shape')
        return program


def references_in(values: Iterable[Any]) -> Iterator[Reference]:
    """Yield the registers and stored tensors among arguments, however deep."""
    for value in values:
        if isinstance(value, list):
            yield from references_in(value)
        elif isinstance(value, dict):
            if 'register' in value:
                yield int(value['register'])
            elif 'tensor' in value:
                yield str(value['tensor'])


def _plain_group(group: Iterable[Instruction]) -> list[Any]:
    return [[i.out, i.target, list(i.args), dict(i.kwargs)] for i in group]


def _read_group(rows: Iterable[Any]) -> tuple[Instruction, ...]:
    group = []
    for out, target, args, kwargs in rows:
        if not (isinstance(target, str) and isinstance(args, list) and isinstance(kwargs, dict)):
            raise ValueError(f'the arguments of {target} are damaged')
        group.append(Instruction(out=int(out), target=target, args=args, kwargs=kwargs))
    return tuple(group)


def _read_reference(value: Any) -> Reference:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f'{value!r} is no reference')
    return value
