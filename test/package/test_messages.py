# SPDX-License-Identifier: Apache-2.0
"""Every field of every message says what it is."""

from __future__ import annotations

from pathlib import Path
import re

ROOT = Path(__file__).resolve().parents[2]
MESSAGES = sorted((ROOT / 'msg').glob('*.msg'))
FIELD = re.compile(r'^[\w/]+(\[\d*\])? +(?P<name>[a-z]\w*)$')
CONSTANT = re.compile(r'^\w+ +[A-Z]\w* *= *\S+$')


def split(line: str) -> tuple[str, str]:
    """Definition and comment of a line."""
    definition, _, comment = line.partition('#')
    return definition.strip(), comment.strip()


def bare_fields(path: Path) -> list[str]:
    """Return what a message leaves unsaid.

    A comment stands beside its field, in the line above, or where that line's comment names it.
    """
    lines = path.read_text(encoding='utf-8').splitlines()
    bare = []
    if not lines[0].startswith('# '):
        bare.append(f'{path.stem}: does not say first what it is for')
    above = ('', '')
    for definition, comment in map(split, lines[1:]):
        field = FIELD.match(definition)
        if not (field or CONSTANT.match(definition) or not definition):
            bare.append(f'{path.stem}: unclear: {definition}')
        if field and not comment:
            heading, told = above
            if (heading or not told) and not re.search(rf'\b{field["name"]}\b', told):
                bare.append(f'{path.stem}.{field["name"]}: no comment')
        above = (definition, comment)
    return bare


def test_every_field_has_a_comment() -> None:
    assert MESSAGES
    found = [bare for path in MESSAGES for bare in bare_fields(path)]
    assert not found, '\n'.join(found)
