# SPDX-License-Identifier: Apache-2.0
"""What rqt reads of the plugin, the plugin in rqt, and in its own window where rqt is not."""

from __future__ import annotations

import ast
import importlib.util
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from types import ModuleType, SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
import rclpy

ROOT = Path(__file__).resolve().parents[2]
DOMAIN = 64
PATIENCE_S = 90.0
NO_RQT = 'rqt_gui_py is not there: the real rqt is not tried'


def test_rqt_finds_the_class_that_there_is() -> None:
    export = ElementTree.parse(ROOT / 'package.xml').find('export/rqt_gui')
    assert export is not None
    assert export.attrib['plugin'] == '${prefix}/plugin.xml'
    assert 'install(FILES plugin.xml ' in (ROOT / 'CMakeLists.txt').read_text(encoding='utf-8')
    entry = ElementTree.parse(ROOT / 'plugin.xml').find('class')
    assert entry is not None
    assert entry.attrib['name'] == 'PA-MDI Fleet'
    assert entry.attrib['base_class_type'] == 'rqt_gui_py::Plugin'
    module, _, name = entry.attrib['type'].rpartition('.')
    tree = ast.parse((ROOT / f'{module.replace(".", "/")}.py').read_text(encoding='utf-8'))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    methods = {node.name for node in classes[name].body if isinstance(node, ast.FunctionDef)}
    assert {'shutdown_plugin', 'save_settings', 'restore_settings'} <= methods
    from pamdi_ros.rqt.window import PLUGIN

    assert entry.attrib['type'] == PLUGIN


def test_the_plugin_lives_in_what_rqt_gives_it(
    application: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pamdi_ros.rqt.binding import QtCore

    class Plugin(QtCore.QObject):
        def __init__(self, context: Any) -> None:
            super().__init__()

    monkeypatch.setitem(sys.modules, 'rqt_gui_py', ModuleType('rqt_gui_py'))
    base = ModuleType('rqt_gui_py.plugin')
    base.Plugin = Plugin  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'rqt_gui_py.plugin', base)
    monkeypatch.delitem(sys.modules, 'pamdi_ros.rqt.plugin', raising=False)
    from pamdi_ros.rqt.plugin import FleetPlugin

    ros = rclpy.Context()
    rclpy.init(context=ros, domain_id=DOMAIN)
    widgets: list[Any] = []
    kept: dict[str, Any] = {}
    settings = SimpleNamespace(value=kept.get, set_value=kept.__setitem__)
    context = SimpleNamespace(
        argv=lambda: ['--fleet', '/warehouse'],
        serial_number=lambda: 2,
        add_widget=widgets.append,
        node=SimpleNamespace(context=ros),
    )
    plugin = FleetPlugin(context)
    try:
        assert widgets[0].windowTitle() == 'PA-MDI Fleet (2)'
        plugin.save_settings(None, settings)
        plugin.restore_settings(None, settings)
        assert kept['item'] == 'latest'
    finally:
        plugin.shutdown_plugin()
        ros.shutdown()
        widgets[0].deleteLater()
        application.processEvents()


@pytest.mark.parametrize('arguments', [['--window'], []], ids=['window', 'rqt'])
def test_the_program_joins_ros_and_leaves_when_told(
    application: Any, arguments: list[str], tmp_path: Path
) -> None:
    if not arguments and importlib.util.find_spec('rqt_gui_py') is None:
        pytest.skip(NO_RQT)
    environment = {
        **os.environ,
        'ROS_DOMAIN_ID': str(DOMAIN),
        'XDG_CONFIG_HOME': str(tmp_path),
        'QT_QPA_PLATFORM': 'offscreen',
    }
    program = subprocess.Popen(
        [sys.executable, str(ROOT / 'scripts' / 'rqt_pamdi'), *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    node = rclpy.create_node('looker', context=context)
    try:
        end_s = time.monotonic() + PATIENCE_S
        while f'pamdi_watch_{program.pid}' not in node.get_node_names():
            assert program.poll() is None and time.monotonic() < end_s, program.communicate()[0]
            time.sleep(0.1)
        # rqt itself, where rclpy has taken the signals over, heeds none of them.
        program.send_signal(signal.SIGINT if arguments else signal.SIGKILL)
        output, _ = program.communicate(timeout=PATIENCE_S)
    finally:
        program.kill()
        node.destroy_node()
        context.shutdown()
    assert 'Traceback' not in output
    assert program.returncode == (0 if arguments else -signal.SIGKILL)
