# SPDX-License-Identifier: Apache-2.0
"""What is told while models are built."""

from __future__ import annotations

from pamdi_ros.nodes.progress import ModelProgress


def test_a_model_that_takes_long_is_named_with_its_time() -> None:
    progress = ModelProgress()
    assert progress.text(0.0) == progress.result() == ''
    progress.begin('resnet50', 10.0, 1, 2)
    assert progress.text(10.5) == ''  # it may be there already
    assert progress.text(17.0).startswith('building weights of model resnet50, 1 of 2, for 7 s')
    progress.begin('gpt2', 20.0, 2, 2)
    assert progress.text(31.0).startswith('building weights of model gpt2, 2 of 2, for 11 s')
    progress.end(40.0)
    assert progress.text(41.0) == ''
    assert progress.result() == 'all models are there after 30 s'
    assert progress.result() == ''


def test_models_that_are_there_are_not_worth_a_word() -> None:
    progress = ModelProgress()
    progress.begin('resnet50', 10.0)
    assert progress.text(17.0).startswith('building weights of model resnet50, for 7 s')
    progress.end(10.2)
    assert progress.text(12.0) == progress.result() == ''
