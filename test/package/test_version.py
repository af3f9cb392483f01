# SPDX-License-Identifier: Apache-2.0
"""One version, one licence, in every place that states them."""

from __future__ import annotations

import ast
from pathlib import Path
import re
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]


def setup_arguments() -> dict[str, object]:
    """Literal keyword arguments of setup.py's call of setup()."""
    tree = ast.parse((ROOT / 'setup.py').read_text(encoding='utf-8'))
    call = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, 'id', None) == 'setup'
    )
    return {
        keyword.arg: keyword.value.value
        for keyword in call.keywords
        if keyword.arg and isinstance(keyword.value, ast.Constant)
    }


def test_version_is_the_same_everywhere() -> None:
    package = ElementTree.parse(ROOT / 'package.xml').getroot().findtext('version')
    changelog = (ROOT / 'CHANGELOG.rst').read_text(encoding='utf-8')
    newest = re.search(r'^(\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)\n-+$', changelog, re.MULTILINE)
    assert newest, 'CHANGELOG.rst has no heading such as "0.1.0 (2026-01-31)"'
    assert package == setup_arguments()['version'] == newest.group(1)


def test_name_and_licence_are_the_same_everywhere() -> None:
    package = ElementTree.parse(ROOT / 'package.xml').getroot()
    arguments = setup_arguments()
    assert package.findtext('name') == arguments['name'] == 'pamdi_ros'
    assert package.findtext('license') == arguments['license'] == 'Apache-2.0'
    assert package.findtext('description') == arguments['description']


def test_licence_file_is_the_one_that_package_xml_names() -> None:
    licence = ElementTree.parse(ROOT / 'package.xml').getroot().find('license')
    assert licence is not None
    text = (ROOT / licence.get('file', '')).read_text(encoding='utf-8')
    assert 'Apache License' in text
    assert 'Version 2.0, January 2004' in text
