# SPDX-License-Identifier: Apache-2.0
"""A real Qt without a screen; where there is none, its tests say so and are skipped."""

from __future__ import annotations

import os
from typing import Any

import pytest

os.environ.setdefault('QT_QPA_PLATFORM', 'offscreen')


@pytest.fixture(scope='session')
def application() -> Any:
    try:
        from pamdi_ros.rqt.binding import QtWidgets
    except ImportError as error:
        pytest.skip(f'the widgets are not tried: {error}')
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(['test'])
    application.setStyle('Fusion')
    return application
