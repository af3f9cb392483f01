# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pamdi_ros.monitor.palette import ALARM_SHARE, Palette, WARN_SHARE
from pamdi_ros.monitor.view import Level
import pytest

GROUNDS = {False: '#ffffff', True: '#1e1e1e'}


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize('dark', [False, True])
def test_colours_stand_out_from_their_ground(dark: bool) -> None:
    palette = Palette(dark=dark)
    models = palette.models([f'model{number}' for number in range(8)])
    classes = palette.classes(['a', 'b', 'c', 'd'])
    for colour in (*models.values(), *classes.values()):
        assert contrast(colour, GROUNDS[dark]) > 2.0
    for level in (Level.WARN, Level.ERROR):  # text is written in these
        assert contrast(palette.level(level), GROUNDS[dark]) > 3.0
    assert len(set(models.values())) == 8
    assert len(set(classes.values())) == 4


def test_a_model_keeps_its_colour_whatever_the_order() -> None:
    palette = Palette(dark=True)
    assert palette.models(['b', 'a']) == palette.models(['a', 'b'])


def test_classes_beyond_the_last_colour_share_it() -> None:
    names = [str(number) for number in range(7)]
    colours = list(Palette(dark=False).classes(names).values())
    assert colours[3:] == [colours[-1]] * 4


def test_a_share_warns_before_it_alarms() -> None:
    palette = Palette(dark=False)
    assert palette.share(0.0) == palette.level(Level.OK)
    assert palette.share(WARN_SHARE) == palette.level(Level.WARN)
    assert palette.share(ALARM_SHARE) == palette.level(Level.ERROR)
