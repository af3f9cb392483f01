# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable, Mapping

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.models import Model, ModelError
from pamdi_ros.models.engines.text import TextModel, Vocabulary
import pytest
import torch

SMALL = {'n_layer': 2, 'n_embd': 32, 'n_head': 2, 'vocab_size': 400, 'n_positions': 24}
VOCABULARY = Vocabulary()


@pytest.fixture
def model(get_model: Callable[[Mapping[str, object]], Model]) -> Model:
    return get_model(
        {'zoo': 'gpt2', 'tokens': 16, 'arguments': {**SMALL, 'initializer_range': 0.5}}
    )


def one_pass(model: Model, text: TextModel, ids: list[int], cut: int) -> int:
    """Run units one by one over two workers, narrowing where possible."""
    tensors = text.inputs(ids)
    for first, last in ((0, cut), (cut, model.unit_count)):
        partition = model.partition(first, last)
        for index, unit in enumerate(partition.units, start=first):
            tensors = text.narrow(index, tensors, len(ids))
            tensors = unit(*map(unit.place, tensors))
    assert tensors[0].shape == (1, 1, SMALL['vocab_size'])
    assert tensors[0].nbytes == model.table.output_bytes
    return text.next_token(tensors[0], len(ids))


@pytest.mark.parametrize('cut_from_end', [1, 2, 4])
def test_greedy_continuation_is_that_of_transformers(model: Model, cut_from_end: int) -> None:
    text = TextModel(model)
    prompt = [17, 300, 5, 77]
    with torch.inference_mode():
        expected = model.module.generate(  # type: ignore[operator]
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
            do_sample=False, max_new_tokens=8, eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
    ids = list(prompt)
    for _ in range(8):
        ids.append(one_pass(model, text, ids, model.unit_count - cut_from_end))

    assert ids == expected[0].tolist()
    assert len(set(ids)) > 5  # a model that repeats one token would prove little


def test_the_last_unit_takes_one_position_and_costs_one_position(model: Model) -> None:
    last = model.unit_count - 1
    unit = model.table.units[last]

    assert model.narrow_at == last == TextModel(model).narrow_at
    assert unit.boundary_bytes == 32 * 4
    assert unit.flops == 2 * 32 * 400
    assert model.partition(last, last + 1)(torch.zeros(1, 1, 32))[0].shape == (1, 1, 400)
    with pytest.raises(ModelError, match='shape'):
        model.partition(0, last)(torch.zeros(1, 1, dtype=torch.int64))


def test_narrowing_gives_what_the_whole_gives(model: Model) -> None:
    text = TextModel(model)
    ids = [3, 1, 4]
    with torch.inference_mode():
        logits = model.module(*map(torch.from_numpy, text.inputs(ids))).logits

    assert one_pass(model, text, ids, 2) == text.next_token(logits, 3)
    assert text.next_token(logits, 3) == int(logits[0, 2].argmax())


def test_inputs_keep_the_end_of_a_long_text(model: Model) -> None:
    text = TextModel(model)

    assert text.inputs([5, 6])[0].tolist() == [[5, 6] + [0] * 14]
    assert text.inputs(list(range(40)))[0].tolist() == [list(range(24, 40))]
    assert (text.position(2), text.position(40)) == (1, 15)


def test_texts_that_cannot_be_served_are_refused(
    model: Model, get_model: Callable[[Mapping[str, object]], Model]
) -> None:
    text = TextModel(model)

    with pytest.raises(ModelError, match='no token'):
        text.inputs([])
    with pytest.raises(ModelError, match='below 400'):
        text.inputs([400])
    with pytest.raises(ModelError, match='no text model'):
        TextModel(get_model({'zoo': 'resnet56'}))


def test_known_ids_of_gpt2() -> None:
    assert VOCABULARY.encode('Hello world') == [15496, 995]
    assert VOCABULARY.decode([15496, 995]) == 'Hello world'
    assert VOCABULARY.encode('') == []


@given(st.text(max_size=40))
def test_any_text_comes_back(text: str) -> None:
    assert VOCABULARY.decode(VOCABULARY.encode(text)) == text
