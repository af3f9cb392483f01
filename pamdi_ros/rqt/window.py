# SPDX-License-Identifier: Apache-2.0
"""``rqt_pamdi``: the plugin in rqt, or in a window of its own where there is no rqt."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import importlib.util
import signal
import sys
from typing import Any

from pamdi_ros.rqt.arguments import arguments

#: As rqt finds the plugin.
PLUGIN = 'pamdi_ros.rqt.plugin.FleetPlugin'


def main(argv: Sequence[str] | None = None) -> int:
    """Run rqt with the plugin alone, or the window.

    :param argv: arguments without the program's name; None: those of this process.
    :returns: exit code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if '--window' in words or importlib.util.find_spec('rqt_gui') is None:
        return run_window(words)
    from pamdi_ros.rqt.plugin import FleetPlugin
    from rqt_gui.main import Main

    return int(
        Main().main(
            [sys.argv[0], *words],
            standalone=PLUGIN,
            plugin_argument_provider=FleetPlugin.add_arguments,
        )
    )


class KeptSettings:
    """Settings of the window, in the user's configuration, with rqt's method names.

    :param settings: QSettings.
    """

    def __init__(self, settings: Any) -> None:
        self._settings = settings

    def value(self, key: str, default: object = None) -> Any:
        """Return a value."""
        return self._settings.value(key, default)

    def set_value(self, key: str, value: object) -> None:
        """Keep a value."""
        self._settings.setValue(key, value)


def run_window(words: Sequence[str]) -> int:
    """Show the plugin's widget until it is closed or interrupted.

    :param words: arguments.
    """
    parser = argparse.ArgumentParser(
        prog='rqt_pamdi', description='Watch a fleet, and set the priorities of its sources.'
    )
    parser.add_argument(
        '--window', action='store_true', help='a window of its own, even where rqt is installed'
    )
    args = arguments(parser).parse_args(_without_ros_arguments(words))
    from pamdi_ros.nodes.monitor.fleet_feed import FleetFeed
    from pamdi_ros.rqt.binding import QtCore, QtWidgets
    from pamdi_ros.rqt.fleet_widget import FleetWidget

    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([sys.argv[0]])
    feed = FleetFeed(args.fleet, changed=lambda: widget.changed.emit())
    widget = FleetWidget(feed)
    settings = KeptSettings(QtCore.QSettings('pamdi_ros', 'rqt_pamdi'))
    widget.resize(1280, 800)
    if (geometry := settings.value('geometry')) is not None:
        widget.restoreGeometry(geometry)
    widget.restore(settings)
    if args.fleet:
        widget.follow(args.fleet)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Noticed at the next tick of the widget; by a timer, since it may come before the loop.
        signal.signal(number, lambda *_: QtCore.QTimer.singleShot(0, application.quit))
    feed.start()
    widget.show()
    code = application.exec() if hasattr(application, 'exec') else application.exec_()
    settings.set_value('geometry', widget.saveGeometry())
    widget.save(settings)
    feed.close()
    return int(code)


def _without_ros_arguments(words: Sequence[str]) -> list[str]:
    from rclpy.utilities import remove_ros_args

    return list(remove_ros_args(args=list(words)))
