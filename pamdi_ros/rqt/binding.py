# SPDX-License-Identifier: Apache-2.0
"""The one Qt of this process: rqt's own where it is there, else PyQt5 or PySide6.

Everything of this package takes QtCore, QtGui, QtWidgets and Signal from here.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

#: Bindings to try, in this order; QT_API (as other programs read it) names the only one to take.
BINDINGS = ('python_qt_binding', 'PyQt5', 'PySide6')


def _found() -> str:
    wish = os.environ.get('QT_API', '').lower()
    names = [name for name in BINDINGS if wish in ('', name.lower())] or BINDINGS
    # Two bindings in one process do not get on: who was there first, stays.
    for name in sorted(names, key=lambda name: name not in sys.modules):
        try:
            importlib.import_module(f'{name}.QtWidgets')
        except ImportError:
            continue
        return name
    raise ModuleNotFoundError('no Qt for Python was found', name='PyQt5')


BINDING = _found()
if TYPE_CHECKING:
    from python_qt_binding import QtCore, QtGui, QtWidgets
else:
    QtCore = importlib.import_module(f'{BINDING}.QtCore')
    QtGui = importlib.import_module(f'{BINDING}.QtGui')
    QtWidgets = importlib.import_module(f'{BINDING}.QtWidgets')
__all__ = ['BINDING', 'QtCore', 'QtGui', 'QtWidgets', 'Signal']

Signal = getattr(QtCore, 'Signal', None) or QtCore.pyqtSignal
