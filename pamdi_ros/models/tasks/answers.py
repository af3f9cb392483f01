# SPDX-License-Identifier: Apache-2.0
"""From a model's output tensors to an answer that a person can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


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


def confidence(logits: Tensor) -> float:
    """Return the largest softmax probability.

    :param logits: (1, classes).
    """
    with torch.inference_mode():
        return float(logits[0].float().softmax(dim=0).max())


def read_answer(outputs: Sequence[Tensor], top_k: int, labels: Sequence[str] = ()) -> Answer:
    """Return the `top_k` best classes of a model's outputs, of equally good ones the lower index.

    :param outputs: as the last partition gives them; only the first is looked at.
    :param labels: name of every class, or empty.
    """
    first = outputs[0]
    kind = output_kind(first.shape)
    if kind == 'tensors' or not first.is_floating_point() or not first.numel():
        return Answer()
    with torch.inference_mode():
        if kind == 'classification':  # (1, classes)
            # Ranked before the softmax, whose float32 makes equals of nearly equal logits.
            rank, scores = first[0], first[0].float().softmax(dim=0)
        else:  # (1, classes, height, width) -> share of the pixels that each class wins
            winners = first[0].argmax(dim=0)
            scores = winners.flatten().bincount(minlength=first.shape[1]) / winners.numel()
            rank = scores
        ids = rank.sort(descending=True, stable=True).indices[:top_k]  # of equals the lower index
        chosen = [
            (index, score)
            for index, score in zip(ids.tolist(), scores[ids].tolist(), strict=True)
            if kind == 'classification' or score > 0
        ]
    return Answer(
        class_ids=tuple(index for index, _ in chosen),
        scores=tuple(score for _, score in chosen),
        labels=tuple(labels[index] for index, _ in chosen) if labels else (),
    )
