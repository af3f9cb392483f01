# SPDX-License-Identifier: Apache-2.0
"""Whether a received task makes sense under this fleet and its assignments."""

from __future__ import annotations

from dataclasses import replace

from pamdi_ros.assignment import Plan
from pamdi_ros.fleet import Fleet
from pamdi_ros.worker.epochs import disbelief, is_believable
from pamdi_ros.worker.task import Status, Task

#: Tokenizers count in 32 bits.
LARGEST_TOKEN = 2**31 - 1


def validate_address(task: Task, fleet: Fleet) -> str:
    """Say why a task cannot belong to any item of this fleet; nobody can be told.

    :returns: 'word: explanation', empty where it can.
    """
    source = fleet.sources.get(task.key.source)
    if source is None:
        return f'unknown_source: {task.key.source!r} is no source of fleet {fleet.name}'
    if task.home != source.worker:
        return (
            f'wrong_home: the home of {source.name} is {source.worker}, the task says '
            f'{task.home!r}'
        )
    if not task.key.incarnation or not task.key.seq:
        return f'bad_item: {source.name} item {task.key.seq} of run {task.key.incarnation}'
    return ''


def validate_task(task: Task, fleet: Fleet, plan: Plan) -> str:
    """Say why a task of this fleet cannot be run; its home should be told.

    The epoch under which it was sent does not matter, if there can be such a one: a task carries
    its next unit, which is checked, and so survives a new assignment.

    :param plan: assignment in force here.
    :returns: 'word: explanation', empty where there is no objection.
    """
    model = fleet.sources[task.key.source].model
    if task.model != model:
        return f'unknown_model: source {task.key.source} uses {model!r}, not {task.model!r}'
    if task.priority_class not in {priority.name for priority in fleet.priority_classes}:
        return f'unknown_class: fleet {fleet.name} has no priority class {task.priority_class!r}'
    if not is_believable(task.epoch, plan.epoch):
        who = f'a task of {task.key.source} was sent under'
        return disbelief(task.epoch, plan.epoch, who, 'start again whoever sent it')
    for hop in task.hops:
        if hop.worker not in fleet.workers:
            return f'unknown_worker: fleet {fleet.name} has no worker {hop.worker[:64]!r}'
    if task.status is not Status.RESULT:
        return ''  # the word that there is no answer
    source = plan.sources.get(task.key.source)
    if source is not None and source.unit_count and task.next_unit > source.unit_count:
        return f'unknown_unit: {model} has {source.unit_count} units, not unit {task.next_unit}'
    if source is not None and source.unit_count and task.exit_unit > source.unit_count:
        return f'unknown_unit: {model} has {source.unit_count} units, not unit {task.exit_unit}'
    most = fleet.models[model].max_new_tokens
    if not 1 <= task.passes_left <= most:
        return f'bad_pass: {task.passes_left} passes left, {model} makes {most} at most'
    return _bad_tokens(task, is_text=fleet.models[model].tokens is not None)


def with_lifespan(task: Task, fleet: Fleet) -> Task:
    """Give a task a lifespan no longer than its source's: what a sender says is not trusted."""
    most_s = fleet.sources[task.key.source].lifespan_s
    if task.lifespan_s is not None and task.lifespan_s <= most_s:
        return task
    return replace(task, lifespan_s=most_s)


def _bad_tokens(task: Task, is_text: bool) -> str:
    if task.tokens and not is_text:
        return f'bad_tokens: {len(task.tokens)} tokens for {task.model}, which is no text model'
    strange = [token for token in task.tokens if not 0 <= token <= LARGEST_TOKEN]
    return f'bad_tokens: {strange[0]} is no token' if strange else ''
