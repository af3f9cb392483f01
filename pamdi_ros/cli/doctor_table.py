# SPDX-License-Identifier: Apache-2.0
"""The table of `pamdi doctor`: a line a check, and below what is not well its remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pamdi_ros.doctor.finding import Finding, Verdict
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

COLOURS = {Verdict.OK: 'green', Verdict.WARN: 'yellow', Verdict.FAIL: 'bold red'}


def print_findings(console: Console, host: str, sections: Mapping[str, Sequence[Finding]]) -> None:
    """Print all findings, and what they come to.

    :param host: name of this machine.
    :param sections: findings by heading.
    """
    for heading, findings in sections.items():
        title = f'{heading} ({host})' if heading == 'this machine' else heading
        console.print(findings_table(title, findings))
    console.print(verdict([finding for found in sections.values() for finding in found]))


def findings_table(title: str, findings: Sequence[Finding]) -> Table:
    """Findings of one section, one a row."""
    table = Table(
        title=Text(title, style='bold'), title_justify='left', box=box.SIMPLE, show_header=False
    )
    table.add_column('verdict', no_wrap=True)
    table.add_column('check', overflow='fold', max_width=28)
    table.add_column('found', overflow='fold', ratio=1)
    for finding in findings:
        found = Text(finding.message)
        if finding.remedy:
            found.append(f'\n→ {finding.remedy}', style='italic')
        colour = COLOURS[finding.verdict]
        table.add_row(Text(finding.verdict.name, style=colour), Text(finding.check), found)
    return table


def verdict(findings: Sequence[Finding]) -> Text:
    """One line to end with."""
    failing = sum(finding.verdict is Verdict.FAIL for finding in findings)
    warning = sum(finding.verdict is Verdict.WARN for finding in findings)
    if failing:
        return Text(f'{failing} FAIL, {warning} WARN of {len(findings)} checks', style='bold red')
    if warning:
        return Text(f'no FAIL, {warning} WARN of {len(findings)} checks', style='yellow')
    return Text(f'all {len(findings)} checks OK', style='green')
