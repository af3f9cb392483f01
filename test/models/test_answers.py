# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pamdi_ros.models.tasks.answers import Answer, output_kind, read_answer
import pytest
import torch


def test_classifier() -> None:
    answer = read_answer([torch.tensor([[0.0, 2.0, 1.0]])], 2, ('a', 'b', 'c'))

    assert answer.class_ids == (1, 2)
    assert answer.labels == ('b', 'c')
    assert answer.scores == pytest.approx((0.66524, 0.24473), abs=1e-5)


def test_top_k_beyond_the_classes_and_no_labels() -> None:
    answer = read_answer([torch.tensor([[0.0, 2.0]])], 5)

    assert answer.class_ids == (1, 0)
    assert answer.labels == ()


def test_classes_are_ranked_by_logits_that_softmax_cannot_tell_apart() -> None:
    """In float32 all three scores below are the same number."""
    logits = torch.tensor([[0.0, 1e-9, 2e-9]])
    assert logits.unique().numel() == 3
    assert logits[0].softmax(dim=0).unique().numel() == 1

    answer = read_answer([logits], 2)

    assert answer.class_ids == (2, 1)
    assert answer.scores == pytest.approx((1 / 3, 1 / 3))


def test_scores_are_still_those_of_the_softmax_over_all_classes() -> None:
    logits = torch.randn(1, 50, generator=torch.Generator().manual_seed(0))
    answer = read_answer([logits], 50)

    wanted = logits[0].softmax(dim=0)[list(answer.class_ids)].tolist()
    assert answer.scores == pytest.approx(wanted)
    assert list(answer.scores) == sorted(answer.scores, reverse=True)


@pytest.mark.parametrize('classes', [4, 1000])
def test_of_equal_logits_the_lower_index_comes_first(classes: int) -> None:
    logits = torch.zeros(1, classes)
    logits[0, [1, 3]] = 2.0

    assert read_answer([logits], 4).class_ids == (1, 3, 0, 2)


def test_segmenter_scores_are_shares_of_the_pixels() -> None:
    scores = torch.zeros(1, 4, 2, 2)
    scores[0, 2] = 1.0
    scores[0, 3, 0, 0] = 2.0

    assert read_answer([scores], 3) == Answer(class_ids=(2, 3), scores=(0.75, 0.25))


def test_others_have_no_classes() -> None:
    assert read_answer([torch.zeros(1, 3, 5)], 5) == Answer()
    assert read_answer([torch.zeros(1, 3, dtype=torch.int64)], 5) == Answer()
    assert output_kind((1, 3, 5)) == 'tensors'
