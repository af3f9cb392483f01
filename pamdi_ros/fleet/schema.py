# SPDX-License-Identifier: Apache-2.0
"""Problems that the JSON Schema finds, told in the words of the person who wrote the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import difflib
import functools
import json
from typing import Any

import jsonschema
from pamdi_ros.fleet.problems import ConfigProblem, join, MISSING, shown, suggestion
from pamdi_ros.fleet.resources import config_path

SCHEMA_FILE = 'fleet.schema.json'

_TYPE_NAMES = {
    'object': 'a mapping',
    'array': 'a list',
    'string': 'a text',
    'number': 'a number',
    'integer': 'a whole number',
    'boolean': 'true or false',
    'null': 'null',
}


@functools.cache
def _validator() -> Any:
    """Return the validator of the shipped schema."""
    # jsonschema before 4 has no draft 2020-12, 7 will do
    schema = json.loads(config_path(SCHEMA_FILE).read_text(encoding='utf-8'))
    draft = getattr(jsonschema, 'Draft202012Validator', jsonschema.Draft7Validator)
    return draft(schema)


def schema_problems(mapping: Mapping[str, object]) -> list[ConfigProblem]:
    """Every place where a fleet mapping breaks the schema.

    :param mapping: plain dicts and lists, see ``tidy``
    :returns: one problem a mistake, in the order of the file as far as jsonschema keeps it
    """
    problems: list[ConfigProblem] = []
    for error in _validator().iter_errors(mapping):
        # jsonschema gives one error for each missing key, and each is told as all of them.
        problems += [problem for problem in _told(error) if problem not in problems]
    return problems


def _told(error: Any) -> Iterator[ConfigProblem]:
    """Problems of one jsonschema error."""
    path = join('', *error.absolute_path)
    value, rule = error.instance, error.validator
    if rule == 'additionalProperties':
        yield from _unknown_keys(error, path)
    elif rule == 'required':
        yield from _missing_keys(error, path)
    elif rule == 'oneOf':
        yield from _choice(error, path)
    else:
        if 'propertyNames' in error.absolute_schema_path:
            path = join(path, str(value))
        yield ConfigProblem(path=path, value=value, message=_message(error), remedy=_remedy(error))


def _message(error: Any) -> str:
    value, limit = shown(error.instance), error.validator_value
    if error.validator == 'type':
        kinds = [limit] if isinstance(limit, str) else limit
        return f'{value} is not ' + ' or '.join(_TYPE_NAMES[kind] for kind in kinds)
    messages = {
        'enum': f'{value} is not known',
        'exclusiveMinimum': f'{value} is not more than {limit}',
        'minimum': f'{value} is less than {limit}',
        'maximum': f'{value} is more than {limit}',
        'pattern': f'{value} is not valid here',
        'minLength': 'is an empty text',
        'maxLength': f'{value} is longer than {limit} letters',
        'minItems': f'{value} has fewer than {limit} entries',
        'maxItems': f'{value} has more than {limit} entries',
        'minProperties': 'is an empty mapping',
    }
    return messages.get(error.validator) or str(error.message)


def _remedy(error: Any) -> str:
    if error.validator == 'enum':
        kind = str(error.absolute_path[-1]) if error.absolute_path else 'value'
        return suggestion(error.instance, [str(word) for word in error.validator_value], kind)
    remedy = f'expected: {error.schema.get("description", "what the schema asks for")}'
    if error.validator == 'type':
        if error.validator_value == 'string':
            return f'{remedy}; put it in quotes if it is meant as text'
        if isinstance(error.instance, str) and error.validator_value in ('number', 'integer'):
            return f'{remedy}; without quotes and unit'
    return remedy


def _extras(error: Any) -> list[str]:
    """Keys of the mapping that its schema does not know."""
    return [key for key in error.instance if key not in error.schema.get('properties', {})]


def _unknown_keys(error: Any, path: str) -> Iterator[ConfigProblem]:
    known = list(error.schema.get('properties', {}))
    for key in _extras(error):
        yield ConfigProblem(
            path=join(path, key),
            value=error.instance[key],
            message=f'the key {shown(key)} is not known',
            remedy=suggestion(key, known, 'key'),
        )


def _missing_keys(error: Any, path: str) -> Iterator[ConfigProblem]:
    extras = _extras(error)
    for key in error.validator_value:
        # A misspelt key is told once, as unknown.
        if key in error.instance or difflib.get_close_matches(key, extras):
            continue
        description = error.schema['properties'][key].get('description', '')
        yield ConfigProblem(
            path=join(path, key),
            value=MISSING,
            message=f'{key} is missing',
            remedy=f'add {key}: {description}',
        )


def _choice(error: Any, path: str) -> Iterator[ConfigProblem]:
    """Problem of a mapping that needs exactly one of several keys."""
    if not isinstance(error.instance, dict):
        return  # told as a wrong type
    names = [option['required'][0] for option in error.validator_value]
    given = [name for name in names if name in error.instance]
    if not given and any(difflib.get_close_matches(key, names) for key in _extras(error)):
        return  # told as an unknown key
    if given:
        message = ' and '.join(given) + ' are given together'
    else:
        message = 'none of ' + ', '.join(names) + ' is given'
    yield ConfigProblem(
        path=path,
        value=error.instance,
        message=message,
        remedy='give exactly one of ' + ', '.join(names),
    )
