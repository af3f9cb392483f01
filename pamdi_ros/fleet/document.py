# SPDX-License-Identifier: Apache-2.0
"""A tolerant view of a fleet mapping that may break its schema, for the cross-checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pamdi_ros.fleet.problems import ConfigProblem, shown, suggestion

TEXT_ZOO = ('gpt2',)
DEFAULT_TOKENS = 64
DEFAULT_LIFESPAN_MS = 10_000.0


def number(value: object) -> float | None:
    """Value as a number; None for all else, which the schema has reported."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return None


def table(value: object) -> dict[str, Any]:
    """Value as a mapping; an empty one for all else."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[Any]:
    """Value as a list; an empty one for all else."""
    return value if isinstance(value, list) else []


def is_text_model(model: Mapping[str, Any]) -> bool:
    """Whether a model takes text, by what the file says of it."""
    if 'zoo' in model:
        return model['zoo'] in TEXT_ZOO
    return 'tokens' in model and 'input_shape' not in model


class Document:
    """Sections of a fleet mapping; whatever is malformed is left out.

    :param mapping: plain dicts and lists, see ``tidy``
    """

    def __init__(self, mapping: Mapping[str, object]) -> None:
        self.mapping = mapping
        self.classes = self._entries('priority_classes')
        self.models = self._entries('models')
        self.workers = self._entries('workers')
        self.sources = self._entries('sources')
        self.links = table(mapping.get('links'))

    def _entries(self, section: str) -> dict[str, dict[str, Any]]:
        return {
            name: entry
            for name, entry in table(self.mapping.get(section)).items()
            if isinstance(entry, dict)
        }

    def names(self, section: str) -> list[str]:
        """Names in a section, those of malformed entries too."""
        return list(table(self.mapping.get(section)))

    def reference(self, path: str, value: object, section: str, kind: str) -> list[ConfigProblem]:
        """Problem of a name that its section does not declare; none when it does.

        :param section: the section that should have it, such as ``workers``
        :param kind: what it is, such as ``worker``
        """
        known = self.names(section)
        if not isinstance(value, str) or not known or value in known:
            return []  # a missing section is the schema's to report, and one problem is enough
        return [
            ConfigProblem(
                path=path,
                value=value,
                message=f'{shown(value)} is not a {kind} of this fleet',
                remedy=suggestion(value, known, kind),
            )
        ]
