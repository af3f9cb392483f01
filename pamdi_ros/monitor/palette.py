# SPDX-License-Identifier: Apache-2.0
"""Colours of models, priority classes, levels and times, on dark and on light ground."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pamdi_ros.monitor.view import Level

# Hues that colour-blind people tell apart (after Okabe and Ito), toned for either ground.
_MODELS_LIGHT = (
    '#0072b2', '#009e73', '#e69f00', '#a35aa0', '#56b4e9', '#b8541a', '#7a7a00', '#5b5bd6',
)  # fmt: skip
_MODELS_DARK = (
    '#4aa8e0', '#2fc79a', '#f0b840', '#d48bd0', '#8fd0f5', '#f0905a', '#c9c94a', '#9b9bff',
)  # fmt: skip
# The most urgent class first; the last one stands for all that follow.
_CLASSES_LIGHT = ('#c62828', '#e07b00', '#2e7dbd', '#7b8794')
_CLASSES_DARK = ('#ff6b60', '#ffb04d', '#6fb7f0', '#9aa7b4')
_LEVELS_LIGHT = {
    Level.OK: '#2e9e4f', Level.WARN: '#c77700', Level.ERROR: '#c62828', Level.STALE: '#7b8794',
}  # fmt: skip
_LEVELS_DARK = {
    Level.OK: '#4cc66f', Level.WARN: '#ffb04d', Level.ERROR: '#ff6b60', Level.STALE: '#9aa7b4',
}  # fmt: skip
_TIMES_LIGHT = {'transfer': '#e69f00', 'queue': '#b4bcc6', 'compute': '#0072b2', 'home': '#d9c28a'}
_TIMES_DARK = {'transfer': '#f0b840', 'queue': '#66707c', 'compute': '#4aa8e0', 'home': '#8a7a4a'}

#: From which utilisation on a bar or a link warns, and from which it alarms [0..1].
WARN_SHARE, ALARM_SHARE = 0.75, 0.92


@dataclass(frozen=True, kw_only=True, slots=True)
class Palette:
    """Colours for one ground, as '#rrggbb'.

    :param dark: the ground is dark.
    """

    dark: bool

    def models(self, names: Iterable[str]) -> dict[str, str]:
        """Return a colour for each model, the same for the same set of names."""
        colours = _MODELS_DARK if self.dark else _MODELS_LIGHT
        return {name: colours[i % len(colours)] for i, name in enumerate(sorted(names))}

    def classes(self, names: Sequence[str]) -> dict[str, str]:
        """Return each priority class a colour, the most urgent the most glaring."""
        colours = _CLASSES_DARK if self.dark else _CLASSES_LIGHT
        if len(names) == 2:  # the two ends tell more than two neighbours
            return {names[0]: colours[0], names[1]: colours[-1]}
        return {name: colours[min(i, len(colours) - 1)] for i, name in enumerate(names)}

    def level(self, level: Level) -> str:
        """Return the colour of a level."""
        return (_LEVELS_DARK if self.dark else _LEVELS_LIGHT)[level]

    def time(self, kind: str) -> str:
        """Return the colour of a part of a hop: transfer, queue, compute, or home."""
        return (_TIMES_DARK if self.dark else _TIMES_LIGHT)[kind]

    def share(self, share: float) -> str:
        """Return the colour of a utilisation [0..1]."""
        if share >= ALARM_SHARE:
            return self.level(Level.ERROR)
        return self.level(Level.WARN if share >= WARN_SHARE else Level.OK)
