# SPDX-License-Identifier: Apache-2.0
"""What an engine gives: an answer, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class AnswerTensors:
    """An answer as it travels home.

    :param class_ids: int32, best first; empty where the outputs name no classes.
    :param scores: float32, one for each.
    :param outputs: the model's raw outputs; empty unless the source publishes them.
    """

    class_ids: Array
    scores: Array
    outputs: tuple[Array, ...] = ()

    @property
    def tensors(self) -> tuple[Array, ...]:
        """Return them as one tuple, in wire order."""
        return (self.class_ids, self.scores, *self.outputs)


class CannotCompute(Exception):  # noqa: N818 - it says what cannot be done
    """An item that cannot be computed; the text is 'word: explanation'."""
