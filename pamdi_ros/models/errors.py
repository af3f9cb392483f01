# SPDX-License-Identifier: Apache-2.0
"""The one exception of this package, importable without torch."""

from __future__ import annotations


class ModelError(ValueError):
    """A model that cannot be used as asked: which field, what was given, what to do.

    :param field: name of the specification's field or of the thing at fault.
    :param value: what was given.
    :param remedy: what the user can do, a full sentence; may be empty.
    """

    def __init__(self, field: str, value: object, message: str, remedy: str = '') -> None:
        text = f'{field} = {value!r}: {message}'
        super().__init__(f'{text}. {remedy}' if remedy else text)
        self.field = field
        self.value = value
        self.message = message
        self.remedy = remedy

    @classmethod
    def from_fields(cls, fields: dict[str, str]) -> ModelError:
        """Rebuild an error that a builder process has printed (:meth:`fields`)."""
        error = cls(fields['field'], fields['value'], fields['message'], fields['remedy'])
        error.args = (fields['text'],)
        return error

    def fields(self) -> dict[str, str]:
        """Return the error as plain text fields, to cross a process boundary."""
        return {
            'field': self.field,
            'value': str(self.value),
            'message': self.message,
            'remedy': self.remedy,
            'text': str(self),
        }
