# SPDX-License-Identifier: Apache-2.0
"""Every field of every message says what it is."""

from __future__ import annotations

from pathlib import Path
import re

import pytest

ROOT = Path(__file__).resolve().parents[2]
MESSAGES = sorted((ROOT / 'msg').glob('*.msg'))
FIELD = re.compile(r'^[\w/]+(\[\d*\])? +(?P<name>[a-z]\w*)$')
CONSTANT = re.compile(r'^\w+ +[A-Z]\w* *= *\S+$')


def split(line: str) -> tuple[str, str]:
    """Definition and comment of a line."""
    definition, _, comment = line.partition('#')
    return definition.strip(), comment.strip()


@pytest.mark.parametrize('path', MESSAGES, ids=lambda path: path.stem)
def test_every_field_has_a_comment(path: Path) -> None:
    """Beside it, in the line above, or where the comment of the line above names it."""
    lines = path.read_text(encoding='utf-8').splitlines()
    assert lines[0].startswith('# '), 'a message says first what it is for'
    bare = []
    above = ('', '')
    for definition, comment in map(split, lines[1:]):
        field = FIELD.match(definition)
        assert field or CONSTANT.match(definition) or not definition, f'unclear: {definition}'
        if field and not comment:
            heading, told = above
            if (heading or not told) and not re.search(rf'\b{field["name"]}\b', told):
                bare.append(field['name'])
        above = (definition, comment)
    assert bare == []
