# SPDX-License-Identifier: Apache-2.0
"""Draw the plugin with synthetic fleets of 3, 10 and 50 workers, dark and light, as PNG files.

python test/rqt/draw_pictures.py DIRECTORY
"""

from __future__ import annotations

import os
from pathlib import Path
import sys
from typing import Any

os.environ.setdefault('QT_QPA_PLATFORM', 'offscreen')
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pamdi_ros.rqt.binding import QtGui, QtWidgets
from pamdi_ros.rqt.fleet_widget import FleetWidget
from PIL import Image
from rqt.still_feed import StillFeed, synthetic_view

SIZE = (1360, 820)


def dark_palette() -> Any:
    """Return the palette of a dark desktop."""
    role = QtGui.QPalette.ColorRole
    palette = QtGui.QPalette()
    for name, colour in (
        ('Window', '#2b2b2b'), ('WindowText', '#e6e6e6'), ('Base', '#1e1e1e'),
        ('AlternateBase', '#262626'), ('Text', '#e6e6e6'), ('Button', '#353535'),
        ('ButtonText', '#e6e6e6'), ('Highlight', '#3d7eb8'), ('HighlightedText', '#ffffff'),
        ('ToolTipBase', '#353535'), ('ToolTipText', '#e6e6e6'), ('PlaceholderText', '#8c8c8c'),
        ('Light', '#484848'), ('Midlight', '#404040'), ('Mid', '#2a2a2a'), ('Dark', '#202020'),
    ):  # fmt: skip
        palette.setColor(getattr(role, name), QtGui.QColor(colour))
    return palette


def draw(count: int, dark: bool, application: Any) -> Any:
    """Return a pixmap of the widget."""
    application.setPalette(dark_palette() if dark else application.style().standardPalette())
    feed = StillFeed(synthetic_view(count, lost=count == 10))
    widget = FleetWidget(feed)
    widget.setWindowTitle('synthetic')
    widget.resize(*SIZE)
    widget.show()
    widget.refresh()
    widget.findChild(QtWidgets.QTableView).choose('rear_camera')
    widget.refresh()
    for _ in range(5):
        application.processEvents()
    widget.refresh()
    application.processEvents()
    picture = widget.grab()
    widget.close()
    return picture


def main() -> None:
    """Draw all."""
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    application = QtWidgets.QApplication(sys.argv[:1])
    application.setStyle('Fusion')
    application.setFont(QtGui.QFont('DejaVu Sans', 10))
    for count in (3, 10, 50):
        for dark in (False, True):
            name = f'rqt_{count}_{"dark" if dark else "light"}.png'
            draw(count, dark, application).save(str(directory / name))
            # A quarter of the size, and nothing that an eye would miss.
            Image.open(directory / name).convert('RGB').quantize(256, dither=0).save(
                directory / name, optimize=True
            )
            print(f'{name}: {(directory / name).stat().st_size} B')


if __name__ == '__main__':
    main()
