# SPDX-License-Identifier: Apache-2.0
"""Names of a model's classes."""

from __future__ import annotations

from pathlib import Path

from pamdi_ros.models.errors import ModelError


def read_labels(
    labels: str | None,
    categories: tuple[str, ...],
    outputs: tuple[tuple[tuple[int, ...], str], ...],
) -> tuple[str, ...]:
    """Return one name a class, () where none are known.

    :param labels: a file with one name a line, ``builtin``, or None: built in where they fit.
    :param categories: the names that come with the architecture's published weights.
    :param outputs: signature of the model's outputs; classes are dimension 1 of the first.
    :raises ModelError: for a file that cannot be read or names that do not fit the outputs.
    """
    classes = outputs[0][0][1] if len(outputs[0][0]) > 1 else 0
    if labels is None or labels == 'builtin':
        if len(categories) == classes:
            return categories
        if labels is None:
            return ()
        raise ModelError(
            'labels', labels, f'{len(categories)} built-in names for {classes} classes',
            'Give a file with one name a line.',
        )  # fmt: skip
    try:
        names = Path(labels).expanduser().read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError('labels', labels, f'cannot be read: {error}') from None
    while names and not names[-1].strip():
        names.pop()
    if len(names) != classes:
        raise ModelError('labels', labels, f'has {len(names)} lines for {classes} classes')
    return tuple(name.strip() for name in names)
