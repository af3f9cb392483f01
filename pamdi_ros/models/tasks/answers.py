# SPDX-License-Identifier: Apache-2.0
"""From a model's output tensors to an answer that a person can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The best classes, best first; all empty where the outputs are of another kind.

    :param class_ids: their indices.
    :param scores: probability of each (classifier) or its share of the pixels (segmenter), 0..1.
    :param labels: their names, empty where the names are not known.
    """

    class_ids: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()


def output_kind(shape: Sequence[int]) -> str:
    """Return what the first output's shape means.

    :param shape: with batch.
    :returns: ``classification`` for (1, classes), ``segmentation`` for (1, classes, height,
        width), else ``tensors``.
    """
    return {2: 'classification', 4: 'segmentation'}.get(len(shape), 'tensors')


def confidence(logits: Floats) -> float:
    """Return the largest softmax probability.

    :param logits: (1, classes).
    """
    return float(_softmax(logits[0]).max())


def read_answer(outputs: Sequence[Any], top_k: int, labels: Sequence[str] = ()) -> Answer:
    """Return the `top_k` best classes of a model's outputs, of equally good ones the lower index.

    :param outputs: arrays as the last partition gives them; only the first is looked at.
    :param labels: name of every class, or empty.
    """
    first = np.asarray(outputs[0])
    kind = output_kind(first.shape)
    if kind == 'tensors' or not is_floating(first) or not first.size:
        return Answer()
    if kind == 'classification':  # (1, classes)
        # Ranked before the softmax, whose float32 makes equals of nearly equal logits.
        rank, scores = first[0], _softmax(first[0])
    else:  # (1, classes, height, width) -> share of the pixels that each class wins
        winners = first[0].argmax(axis=0).ravel()
        counts = np.bincount(winners, minlength=first.shape[1])
        rank = scores = (counts / winners.size).astype(np.float32)
    ids = np.argsort(-rank.astype(np.float64), kind='stable')[:top_k]  # of equals the lower index
    chosen = [
        (int(index), float(scores[index]))
        for index in ids
        if kind == 'classification' or scores[index] > 0
    ]
    return Answer(
        class_ids=tuple(index for index, _ in chosen),
        scores=tuple(score for _, score in chosen),
        labels=tuple(labels[index] for index, _ in chosen) if labels else (),
    )


def is_floating(array: np.ndarray[Any, Any]) -> bool:
    """Tell whether an array holds floating point numbers; numpy has bfloat16 from elsewhere."""
    return array.dtype.kind == 'f' or array.dtype.name == 'bfloat16'


def _softmax(logits: Floats) -> NDArray[np.float32]:
    values = np.asarray(logits, np.float32)
    shifted = np.exp(values - values.max())
    result: NDArray[np.float32] = shifted / shifted.sum()
    return result
