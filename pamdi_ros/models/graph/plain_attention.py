# SPDX-License-Identifier: Apache-2.0
"""Fused attention of torch in plain operations, for what does not know the fused ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim: int,
    num_head: int,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    mask: Tensor | None = None,
    *_: Any,
) -> tuple[Tensor, None]:
    """Return what ``aten._native_multi_head_attention`` gives without weights or mask.

    :param query: (batch, positions, embed_dim), as key and value.
    :raises ValueError: with a mask.
    """
    if mask is not None:
        raise ValueError('attention with a mask is not written in plain operations')
    batch, positions, _width = query.shape
    parts = zip(
        (query, key, value), qkv_weight.chunk(3), qkv_bias.chunk(3), strict=True
    )  # fmt: skip
    q, k, v = (
        functional.linear(tensor, weight, bias)
        .reshape(batch, -1, num_head, embed_dim // num_head)
        .transpose(1, 2)
        for tensor, weight, bias in parts
    )
    scores = torch.softmax(q @ k.transpose(2, 3) * (embed_dim // num_head) ** -0.5, -1)
    mixed = (scores @ v).transpose(1, 2).reshape(batch, positions, embed_dim)
    return functional.linear(mixed, proj_weight, proj_bias), None


def encoder_layer(
    src: Tensor,
    embed_dim: int,
    num_heads: int,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    use_gelu: bool,
    norm_first: bool,
    eps: float,
    norm_weight_1: Tensor,
    norm_bias_1: Tensor,
    norm_weight_2: Tensor,
    norm_bias_2: Tensor,
    ffn_weight_1: Tensor,
    ffn_bias_1: Tensor,
    ffn_weight_2: Tensor,
    ffn_bias_2: Tensor,
    mask: Tensor | None = None,
    *_: Any,
) -> Tensor:
    """Return what ``aten._transformer_encoder_layer_fwd`` gives without a mask.

    :param src: (batch, positions, embed_dim).
    :raises ValueError: with a mask.
    """

    def mix(x: Tensor) -> Tensor:
        return attention(
            x, x, x, embed_dim, num_heads, qkv_weight, qkv_bias, proj_weight, proj_bias, mask
        )[0]

    def feed(x: Tensor) -> Tensor:
        inner = functional.linear(x, ffn_weight_1, ffn_bias_1)
        inner = functional.gelu(inner) if use_gelu else functional.relu(inner)
        return functional.linear(inner, ffn_weight_2, ffn_bias_2)

    def norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return functional.layer_norm(x, (embed_dim,), weight, bias, eps)

    if norm_first:
        x = src + mix(norm(src, norm_weight_1, norm_bias_1))
        return x + feed(norm(x, norm_weight_2, norm_bias_2))
    x = norm(src + mix(src), norm_weight_1, norm_bias_1)
    return norm(x + feed(x), norm_weight_2, norm_bias_2)


#: By the name that a program has for the fused operation.
PLAIN: dict[str, Callable[..., Any]] = {
    'aten._native_multi_head_attention.default': attention,
    'aten._transformer_encoder_layer_fwd.default': encoder_layer,
}
