# SPDX-License-Identifier: Apache-2.0
"""torch runs units one by one: the reference, exact at every cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TYPE_CHECKING

import numpy as np
from pamdi_ros.models.engines.partition import Unit
from pamdi_ros.models.engines.tensors import to_array
from pamdi_ros.models.errors import ModelError
import torch
from torch import Tensor

if TYPE_CHECKING:
    from pamdi_ros.models.engines.model import Model


class TorchEngine:
    """Units of one model on one device.

    :param model: theirs.
    :param device: such as ``cpu`` or ``cuda:0``.
    :param threads: of one operation; 0: torch's own choice.
    :raises ModelError: the model's operations are damaged.
    """

    name = 'torch'
    note = ''
    fusible = False

    def __init__(self, model: Model, device: torch.device, threads: int = 0) -> None:
        self._units_of = model.on_torch
        self._threads = threads
        self._device = device
        self._units: dict[int, Unit] = {}

    @property
    def device(self) -> str:
        """Return the device as torch says it."""
        return str(self._device)

    @property
    def held_bytes(self) -> int:
        """Return the bytes of weights, those that units share once [byte]."""
        held = [tensor for unit in tuple(self._units.values()) for tensor in unit.tensors]
        return sum({tensor.data_ptr(): tensor.nbytes for tensor in held}.values())

    def load(self, first: int, last: int) -> None:
        """Load units; those that are here already are loaded anew.

        :raises ModelError: weights are gone.
        """
        for unit in range(first, last):
            self._units[unit] = self._units_of.unit(unit, self._device)

    def free(self, first: int, last: int) -> None:
        """Let go of units."""
        for unit in range(first, last):
            self._units.pop(unit, None)

    def run(
        self, first: int, last: int, tensors: Sequence[Any], state: None = None
    ) -> tuple[tuple[Tensor, ...], None]:
        """Run units one by one; see :class:`pamdi_ros.models.engines.protocol.UnitEngine`.

        :raises ModelError: one is not loaded.
        """
        with torch.inference_mode():
            current = tuple(tensors)
            for index in range(first, last):
                unit = self._units.get(index)
                if unit is None:
                    raise ModelError('unit', index, 'is not loaded')
                current = unit(*map(unit.place, current))
        # A unit is a point of preemption: what is launched now would delay whoever comes next,
        # and its time would be that of the launch.
        if self._device.type == 'cuda':
            torch.cuda.synchronize(self._device)
        return current, state

    def head(self, unit: int, tensors: Sequence[Any]) -> np.ndarray[Any, Any] | None:
        """Return the logits of the exit before a unit; None: there is none, or not loaded."""
        before = self._units.get(unit - 1)
        if before is None or before.head is None:
            return None
        return to_array(before.head(*tensors))

    def to_host(self, tensors: Sequence[Any]) -> tuple[np.ndarray[Any, Any], ...]:
        """Return tensors as arrays; no copy on a processor."""
        return tuple(map(to_array, tensors))

    def prepare_thread(self) -> None:
        """Set how many threads an operation uses, which torch keeps by thread."""
        if self._threads:
            torch.set_num_threads(self._threads)


def choose_device(wanted: str) -> torch.device:
    """Return a worker's device.

    :param wanted: ``auto`` (cuda if there, else cpu), ``cpu``, ``cuda`` or ``cuda:N``.
    :raises ModelError: there is no such device.
    """
    if wanted == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    if wanted.startswith('cuda') and not torch.cuda.is_available():
        raise ModelError(
            'device', wanted, f'this torch ({torch.__version__}) sees no CUDA',
            'Use device: auto or cpu.',
        )  # fmt: skip
    try:
        return torch.empty(0, device=wanted).device
    except RuntimeError as error:  # as torch puts it where there is no such device
        raise ModelError('device', wanted, str(error).splitlines()[0]) from None
