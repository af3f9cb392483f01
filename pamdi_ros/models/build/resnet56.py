# SPDX-License-Identifier: Apache-2.0
"""ResNet-56 in its CIFAR form (He et al., 2016, section 4.2): 3 stages of 9 blocks, 0.85 M."""

from __future__ import annotations

import torch
from torch import nn, Tensor
from torch.nn import functional


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut without parameters (option A of the paper)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        """Lay out a block that changes resolution by `stride`."""
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.extra_channels = channels - channels_in

    def forward(self, x: Tensor) -> Tensor:  # (batch, in, h, w) -> (batch, out, h/s, w/s)
        """Return the block's output."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride > 1 or self.extra_channels:
            x = x[:, :, :: self.stride, :: self.stride]
            half = self.extra_channels // 2
            x = functional.pad(x, (0, 0, 0, 0, half, self.extra_channels - half))
        return functional.relu(y + x)


class ResNet56(nn.Module):
    """Classify 32x32 images.

    :param num_classes: number of classes.
    :param blocks: blocks a stage; 9 makes it ResNet-56.
    """

    def __init__(self, num_classes: int = 10, blocks: int = 9) -> None:
        """Lay out stem, three stages and head, initialised as in the paper."""
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
        stages: list[nn.Module] = []
        channels_in = 16
        for channels, stride in ((16, 1), (32, 2), (64, 2)):
            for index in range(blocks):
                stages.append(Block(channels_in, channels, stride if index == 0 else 1))
                channels_in = channels
        self.blocks = nn.Sequential(*stages)
        self.head = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:  # (batch, 3, h, w) -> (batch, classes)
        """Return the classes' logits."""
        x = self.blocks(functional.relu(self.stem(x)))
        return self.head(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))
