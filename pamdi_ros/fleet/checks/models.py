# SPDX-License-Identifier: Apache-2.0
"""Cross-checks of the models: text keys for text models, image keys for image models, exits."""

from __future__ import annotations

from collections.abc import Iterator
import re
from typing import Any

from pamdi_ros.fleet.document import Document, number, rows, table, TEXT_ZOO
from pamdi_ros.fleet.problems import ConfigProblem, join, shown


def problems(document: Document) -> Iterator[ConfigProblem]:
    """Contradictions within each model."""
    for name, model in document.models.items():
        path = join('models', name)
        yield from _input(path, model)
        yield from _weights(path, model)
        yield from _exits(path, model)


def _input(path: str, model: dict[str, Any]) -> Iterator[ConfigProblem]:
    """Problems of a model that mixes what text and what image models need."""
    zoo = model.get('zoo')
    unfit: tuple[str, ...]
    if zoo in TEXT_ZOO:
        unfit, kind, instead = ('input_shape',), f'{zoo}, a text model', 'give tokens instead'
    elif isinstance(zoo, str) and 'factory' not in model:
        unfit = ('tokens', 'max_new_tokens')
        kind, instead = f'{zoo}, an image model', 'remove it, or give input_shape instead'
    elif 'input_shape' in model:
        unfit = ('tokens', 'max_new_tokens')
        kind, instead = 'an image model, which has an input_shape', 'keep one of the two'
    elif 'factory' in model and 'tokens' not in model:
        yield ConfigProblem(
            path=path,
            value=model,
            message='a factory says neither input_shape nor tokens',
            remedy='add input_shape: [channels, height, width], or tokens for a text model',
        )
        return
    else:
        return
    for key in unfit:
        if key in model:
            yield ConfigProblem(
                path=join(path, key),
                value=model[key],
                message=f'{key} does not fit {kind}',
                remedy=instead,
            )


def _weights(path: str, model: dict[str, Any]) -> Iterator[ConfigProblem]:
    weights = model.get('weights')
    if isinstance(weights, str) and weights.startswith('seed:'):
        if re.fullmatch('seed:[0-9]{1,18}', weights):
            return
        yield ConfigProblem(
            path=join(path, 'weights'),
            value=weights,
            message=f'{shown(weights)} does not name a seed',
            remedy='write seed:N with a whole number N of 0 or more, such as seed:0',
        )


def _exits(path: str, model: dict[str, Any]) -> Iterator[ConfigProblem]:
    exits = model.get('exits')
    text = model.get('zoo') in TEXT_ZOO or ('factory' in model and 'tokens' in model)
    if exits and text:
        yield ConfigProblem(
            path=join(path, 'exits'),
            value=exits,
            message='only image classifiers have early exits, this is a text model',
            remedy='remove exits',
        )
    elif exits and 'accuracy' not in model:
        yield ConfigProblem(
            path=join(path, 'accuracy'),
            value=None,
            message='the model has early exits, and what they give up is not known',
            remedy='add accuracy: what the whole model reaches on the data set of the exits',
        )
    before: float | None = None
    for index, entry in enumerate(rows(model.get('exits'))):
        unit = number(table(entry).get('unit'))
        if unit is not None and before is not None and unit <= before:
            yield ConfigProblem(
                path=join(path, 'exits', index, 'unit'),
                value=unit,
                message=f'unit {unit:g} does not come after unit {before:g} of the exit before',
                remedy='list the exits in the order of their units, each unit once',
            )
        before = unit if unit is not None else before
