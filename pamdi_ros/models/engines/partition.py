# SPDX-License-Identifier: Apache-2.0
"""Units with their weights, ready to run: one, or a range of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pamdi_ros.models.engines.signatures import check_tensors
from pamdi_ros.models.engines.tensors import to_array, to_tensor
from pamdi_ros.models.graph.interpreter import Interpreter, Tensors
from pamdi_ros.models.graph.program import Signature
import torch
from torch import Tensor

_ALIGNMENT = 64  # [byte] of torch's own allocations


class Head:
    """The head of an exit: the tensors at its cut in, logits (1, classes) out.

    :param interpreter: of its operations.
    """

    __slots__ = ('_interpreter',)

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """Return its tensors by their names in the head's module."""
        return self._interpreter.tensors

    def __call__(self, *tensors: Tensor) -> Tensor:
        """Return the logits."""
        with torch.inference_mode():
            return self._interpreter(*tensors)[0]


class Unit:
    """One unit of a model on a device: tensors in, tuple of tensors out.

    Nothing it is given changes. It checks no shapes and moves nothing: give it tensors that fit
    ``input_signature``, as :meth:`place` returns them. Its weights are freed with the last
    reference to it, except those that another unit shares.

    :param interpreter: of its operations.
    :param one_position: of the same for one position of a text; None: `interpreter` does that too.
    :param input_signature: (shape, dtype name) of the tensors that enter.
    :param device: where its weights are.
    :param narrow: whether dimension 1 (positions) may also be 1.
    :param head: of the exit after it; None: there is none.
    """

    __slots__ = (
        '__weakref__', '_interpreter', '_one_position', 'device', 'head', 'input_signature',
        'narrow',
    )  # fmt: skip

    def __init__(
        self,
        interpreter: Interpreter,
        one_position: Interpreter | None,
        input_signature: Signature,
        device: torch.device,
        narrow: bool,
        head: Head | None,
    ) -> None:
        self._interpreter = interpreter
        self._one_position = one_position
        self.input_signature = input_signature
        self.device = device
        self.narrow = narrow
        self.head = head

    @property
    def tensors(self) -> Tensors:
        """Return the weights it holds, each once, its head's last."""
        heads = () if self.head is None else self.head.weights.values()
        return distinct((*self._interpreter.tensors.values(), *heads))

    @property
    def weight_bytes(self) -> int:
        """Return the bytes of the weights it holds [byte]."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def __call__(self, *tensors: Tensor) -> Tensors:
        """Run it."""
        run = self._interpreter
        if self._one_position is not None and tensors and tensors[0].shape[1] == 1:
            run = self._one_position
        with torch.inference_mode():
            return run(*tensors)

    def place(self, tensor: Any) -> Tensor:
        """Return a tensor on the unit's device, in memory that starts as torch's own does.

        A view into a received message may start anywhere; the address decides which kernel, and
        so which last bit, the CPU libraries choose.
        """
        return place(tensor, self.device)


class LoadedPartition:
    """Units [first, last): tensors in, tuple of tensors out; nothing it is given changes.

    ``units`` are its single units: calling them one after the other is the same as calling the
    partition.

    :param units: in order, at least one.
    :param heads: of the exits after its units, by the unit that follows.
    """

    def __init__(self, units: Sequence[Unit], heads: Mapping[int, Head]) -> None:
        self.units = tuple(units)
        self.heads = dict(heads)
        self.input_signature = self.units[0].input_signature
        self.device = self.units[0].device

    @property
    def tensors(self) -> Tensors:
        """Return the weights it holds, each once."""
        return distinct(tensor for unit in self.units for tensor in unit.tensors)

    @property
    def weight_bytes(self) -> int:
        """Return the bytes of the weights it holds [byte]."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def __call__(self, *tensors: Any) -> tuple[Any, ...]:
        """Run all its units.

        :param tensors: torch tensors or numpy arrays.
        :returns: of the same kind.
        :raises ModelError: where number, shape or dtype of the tensors is wrong.
        """
        self.check(*tensors)
        as_arrays = any(isinstance(tensor, np.ndarray) for tensor in tensors)
        with torch.inference_mode():
            current = tuple(map(self.place, tensors))
            for unit in self.units:
                current = unit(*current)
        return tuple(map(to_array, current)) if as_arrays else current

    def check(self, *tensors: Any) -> None:
        """Check tensors against the signature, as :meth:`__call__` does.

        :raises ModelError: for the first difference, naming it.
        """
        check_tensors(self.input_signature, tensors, self.units[0].narrow)

    def place(self, tensor: Any) -> Tensor:
        """Return a tensor as :meth:`Unit.place` does."""
        return place(tensor, self.device)


def place(value: Any, device: torch.device) -> Tensor:
    """Return an array or tensor on a device, in memory that starts as torch's own does."""
    tensor = to_tensor(value).to(device)
    return tensor if tensor.data_ptr() % _ALIGNMENT == 0 else tensor.clone()


def distinct(tensors: Iterable[Tensor]) -> Tensors:
    """Return tensors in order, one that comes again only once."""
    return tuple({id(tensor): tensor for tensor in tensors}.values())
