# SPDX-License-Identifier: Apache-2.0
"""What came of running units."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class UnitResult:
    """What the compute side made of units, or of a raw item.

    :param payload: tensors that enter the next unit, or the answer.
    :param payload_bytes: their size [byte].
    :param compute_s: time spent [s].
    :param tokens: text so far, as token ids.
    :param next_pass: the payload is the input of another pass over the model.
    :param confident: the exit that was asked is as confident as it must be.
    :param early: its answer, where it is.
    :param early_bytes: size of that [byte].
    """

    payload: object
    payload_bytes: int = 0
    compute_s: float = 0.0
    tokens: tuple[int, ...] = ()
    next_pass: bool = False
    confident: bool = False
    early: object = None
    early_bytes: int = 0
