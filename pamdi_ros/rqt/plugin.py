# SPDX-License-Identifier: Apache-2.0
"""The plugin as rqt loads it; plugin.xml names this class. Needs rqt_gui_py."""

from __future__ import annotations

import argparse
from typing import Any

from pamdi_ros.optional import explain
from pamdi_ros.rqt.arguments import arguments
from rqt_gui_py.plugin import Plugin

try:
    from pamdi_ros.nodes.monitor.fleet_feed import FleetFeed
    from pamdi_ros.rqt.fleet_widget import FleetWidget
except ModuleNotFoundError as error:
    raise ImportError(explain(error)) from None  # rqt shows it where it lists the plugin


class FleetPlugin(Plugin):
    """Shows a fleet in rqt.

    :param context: of rqt.
    """

    def __init__(self, context: Any) -> None:
        super().__init__(context)
        self.setObjectName('PamdiFleet')
        args, _ = arguments(argparse.ArgumentParser(prog='rqt_pamdi')).parse_known_args(
            context.argv()
        )
        self._feed = FleetFeed(
            args.fleet, context=context.node.context, changed=lambda: self._widget.changed.emit()
        )
        self._widget = FleetWidget(self._feed)
        self._asked = args.fleet
        if self._asked:
            self._widget.follow(self._asked)
        if context.serial_number() > 1:
            title = f'{self._widget.windowTitle()} ({context.serial_number()})'
            self._widget.setWindowTitle(title)
        context.add_widget(self._widget)
        self._feed.start()

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Let rqt tell of our arguments in its --help."""
        arguments(parser.add_argument_group('options of PA-MDI Fleet'))

    def shutdown_plugin(self) -> None:
        """Leave the fleet."""
        self._feed.close()

    def save_settings(self, plugin_settings: Any, instance_settings: Any) -> None:
        """Keep what was chosen."""
        self._widget.save(instance_settings)

    def restore_settings(self, plugin_settings: Any, instance_settings: Any) -> None:
        """Take up what was kept."""
        self._widget.restore(instance_settings)
        if self._asked:
            self._widget.follow(self._asked)
