# SPDX-License-Identifier: Apache-2.0
"""Cross-checks of the sources: known worker, model and class; a model that fits the topic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pamdi_ros.fleet.checks.classes import deadline_problems
from pamdi_ros.fleet.document import (
    DEFAULT_LIFESPAN_MS,
    Document,
    is_text_model,
    number,
    rows,
    table,
    TEXT_ZOO,
)
from pamdi_ros.fleet.problems import ConfigProblem, join, shown
from pamdi_ros.fleet.types import CLOUD_TYPE, COMPRESSED_IMAGE_TYPE, IMAGE_TYPE, TEXT_TYPE

FRAME_TYPES = (IMAGE_TYPE, COMPRESSED_IMAGE_TYPE, CLOUD_TYPE)


def problems(document: Document) -> Iterator[ConfigProblem]:
    """Contradictions between the sources and the rest of the file."""
    for name, source in document.sources.items():
        path = join('sources', name)
        for key, section, kind in (
            ('worker', 'workers', 'worker'),
            ('model', 'models', 'model'),
            ('priority', 'priority_classes', 'priority class'),
        ):
            yield from document.reference(join(path, key), source.get(key), section, kind)
        yield from _rates(path, source)
        yield from _deadline(document, path, source)
        model = document.models.get(str(source.get('model')))
        if model is not None:
            yield from _model(document, path, source, model)
        yield from _conversion(path, source, model or {})
    yield from _topics(document)


def _rates(path: str, source: dict[str, Any]) -> Iterator[ConfigProblem]:
    if 'rate_hz' in source and 'load_share' in source:
        yield ConfigProblem(
            path=join(path, 'load_share'),
            value=source['load_share'],
            message='rate_hz and load_share are given together',
            remedy='keep rate_hz for a fixed rate, or load_share for a part of a given load',
        )


def _deadline(document: Document, path: str, source: dict[str, Any]) -> Iterator[ConfigProblem]:
    if 'deadline_ms' not in source and 'lifespan_ms' not in source:
        return  # the class's own pair, reported there
    qos = table(document.classes.get(str(source.get('priority')), {}).get('qos'))
    own = 'deadline_ms' if 'deadline_ms' in source else 'lifespan_ms'
    yield from deadline_problems(
        join(path, own),
        number(source.get('deadline_ms', qos.get('deadline_ms'))),
        number(source.get('lifespan_ms', qos.get('lifespan_ms', DEFAULT_LIFESPAN_MS))),
    )


def _model(
    document: Document, path: str, source: dict[str, Any], model: dict[str, Any]
) -> Iterator[ConfigProblem]:
    """Problems of a model that cannot take what the topic carries."""
    message_type, name = source.get('type'), source['model']
    wants_text = message_type == TEXT_TYPE
    if (wants_text or message_type in FRAME_TYPES) and wants_text != is_text_model(model):
        fitting = [
            other for other, spec in document.models.items() if is_text_model(spec) == wants_text
        ]
        kind = 'a text model' if wants_text else 'an image model'
        yield ConfigProblem(
            path=join(path, 'model'),
            value=name,
            message=f'{message_type} needs {kind}, and {name} is none',
            remedy='use ' + ' or '.join(fitting[:6]) if fitting else f'declare {kind} in models',
        )
        return
    channels = _channels(model)
    allowed = (3,) if message_type == CLOUD_TYPE else (1, 3)
    if message_type in FRAME_TYPES and channels is not None and channels not in allowed:
        carried = 'range, height and intensity' if message_type == CLOUD_TYPE else 'grey or colour'
        yield ConfigProblem(
            path=join(path, 'model'),
            value=name,
            message=f'{name} takes {channels} channels, and the source gives {carried}',
            remedy=f'use a model with {" or ".join(map(str, allowed))} input channels',
        )


def _channels(model: dict[str, Any]) -> int | None:
    """First entry of a model's input_shape; None where it is not given or malformed."""
    shape = rows(model.get('input_shape'))
    channels = number(shape[0]) if shape else None
    return int(channels) if channels is not None and channels > 0 else None


def _conversion(
    path: str, source: dict[str, Any], model: dict[str, Any]
) -> Iterator[ConfigProblem]:
    """Problems of preprocess and range_image."""
    message_type = source.get('type')
    if message_type == TEXT_TYPE and 'preprocess' in source:
        yield _unfit(join(path, 'preprocess'), source['preprocess'], 'frames and clouds')
    if message_type in (IMAGE_TYPE, COMPRESSED_IMAGE_TYPE, TEXT_TYPE) and 'range_image' in source:
        yield _unfit(join(path, 'range_image'), source['range_image'], CLOUD_TYPE)
    preprocess = table(source.get('preprocess'))
    if 'resize' in preprocess and preprocess.get('mode', 'resize') == 'resize':
        yield ConfigProblem(
            path=join(path, 'preprocess', 'resize'),
            value=preprocess['resize'],
            message='resize is the side before a crop, and mode is resize',
            remedy='add mode: crop, or remove it: frames are resized straight to input_shape',
        )
    channels = _channels(model) or 3
    for key in ('mean', 'std'):
        entries = rows(preprocess.get(key))
        if entries and len(entries) != channels and model.get('zoo') not in TEXT_ZOO:
            yield ConfigProblem(
                path=join(path, 'preprocess', key),
                value=entries,
                message=f'{key} has {len(entries)} entries, and the model {channels} channels',
                remedy=f'give {channels} numbers, one a channel',
            )
    fov = [number(edge) for edge in rows(table(source.get('range_image')).get('fov_deg'))]
    if len(fov) == 2 and fov[0] is not None and fov[1] is not None and fov[0] >= fov[1]:
        yield ConfigProblem(
            path=join(path, 'range_image', 'fov_deg'),
            value=fov,
            message=f'the lowest row, {fov[0]:g}, is not below the highest, {fov[1]:g}',
            remedy='write the lower elevation first, such as [-25, 15]',
        )


def _unfit(path: str, value: object, kind: str) -> ConfigProblem:
    key = path.rpartition('.')[2]
    return ConfigProblem(
        path=path,
        value=value,
        message=f'{key} is for {kind} only',
        remedy='remove it, or check the type of the source',
    )


def _topics(document: Document) -> Iterator[ConfigProblem]:
    """Problems of sources that read one topic: two types, or the same work twice."""
    readers: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name, source in document.sources.items():
        topic, worker = source.get('topic'), source.get('worker')
        if not isinstance(topic, str) or not isinstance(worker, str):
            continue
        resolved = topic if topic.startswith('/') else f'{worker}/{topic}'
        for other, earlier in readers.get(resolved, ()):
            if source.get('type') != earlier.get('type'):
                yield ConfigProblem(
                    path=join('sources', name, 'type'),
                    value=source.get('type'),
                    message=f'{other} reads the same topic as {shown(earlier.get("type"))}',
                    remedy='a topic has one type: correct one of the two types or topics',
                )
            elif all(
                source.get(key) == earlier.get(key)
                for key in ('model', 'preprocess', 'range_image')
            ):
                yield ConfigProblem(
                    path=join('sources', name, 'topic'),
                    value=topic,
                    message=f'{other} already reads this topic with the same model',
                    remedy='remove one of the two sources, or give them different topics',
                )
        readers.setdefault(resolved, []).append((name, source))
