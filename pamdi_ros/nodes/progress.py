# SPDX-License-Identifier: Apache-2.0
"""Which model a node opens: the first time on a machine it is built, which takes a while."""

from __future__ import annotations

from dataclasses import dataclass

#: What takes less is not worth a line [s].
WORTH_TELLING_S = 1.0
#: What takes long, the first time on a machine.
WEIGHTS = 'building weights'
UNITS = 'exporting and checking the units'


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step:
    """The model in hand.

    :param number: of the model, from 1.
    :param began_s: when its turn came [s].
    :param what: is being done.
    """

    model: str
    number: int
    count: int
    began_s: float
    what: str


class ModelProgress:
    """Told by the thread that opens models, read by the one that tells people.

    Each method reads or writes one reference, so that no lock is needed.
    """

    def __init__(self) -> None:
        self._step: _Step | None = None
        self._began_s: float | None = None
        self._took_s: float | None = None

    def begin(
        self, model: str, now: float, number: int = 1, count: int = 1, what: str = WEIGHTS
    ) -> None:
        """Note that the next model's turn has come.

        :param number: of the model, from 1.
        :param count: of all models that are opened one after another.
        :param what: is being done where it takes long.
        """
        if self._began_s is None:
            self._began_s = now
        self._step = _Step(model=model, number=number, count=count, began_s=now, what=what)

    def end(self, now: float) -> None:
        """Note that the models are there, or cannot be had."""
        if self._began_s is not None:
            self._took_s = now - self._began_s
        self._step = None

    def text(self, now: float) -> str:
        """Return which model is waited for, and for how long; empty: none."""
        step = self._step
        if step is None or now - step.began_s < WORTH_TELLING_S:
            return ''
        place = f', {step.number} of {step.count}' if step.count > 1 else ''
        return (
            f'{step.what} of model {step.model}{place}, for {now - step.began_s:.0f} s; it is '
            'done once'
        )

    def result(self) -> str:
        """Return, once, how long it took; empty where that is told, or not worth it."""
        took_s, self._took_s = self._took_s, None
        if took_s is None or took_s < WORTH_TELLING_S:
            return ''
        return f'all models are there after {took_s:.0f} s'
