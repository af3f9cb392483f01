# SPDX-License-Identifier: Apache-2.0
"""``pamdi doctor [FLEET]``: what is wrong with this machine and the fleet, and what to do."""

from __future__ import annotations

import argparse
import os
from typing import Any, TYPE_CHECKING

from pamdi_ros.cli.json_output import add_json_option, write_json
from pamdi_ros.fleet import Fleet, fleet_prefix, load_fleet, resolve_topic
from pamdi_ros.fleet.problems import ConfigProblem, FleetError, suggestion

if TYPE_CHECKING:
    from pamdi_ros.doctor.finding import Finding
    from pamdi_ros.doctor.fleet_facts import NetworkFacts
    from pamdi_ros.doctor.host_facts import HostFacts

Sections = dict[str, list['Finding']]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``pamdi doctor`` to the command line."""
    parser = subparsers.add_parser(
        'doctor',
        help='check this machine and the fleet on the network, and tell what to do',
        description=(
            'Check packages, torch, memory, kernel, middleware and discovery of this machine, and '
            'the fleet on the network: workers, topics, QoS, clocks. Each line is OK, WARN or '
            'FAIL, with the remedy. Without FLEET: this machine, and whatever fleets are seen. '
            'Exit code 0: no FAIL, 1: at least one, 2: bad input.'
        ),
        epilog='example: pamdi doctor config/demo.yaml --worker robot1',
    )
    parser.add_argument('fleet', metavar='FLEET', nargs='?', help='the fleet file')
    parser.add_argument(
        '--worker',
        nargs='+',
        metavar='NAME',
        default=[],
        help='workers that this machine runs or will run; default: those that run here now',
    )
    parser.add_argument(
        '--namespace', default='', metavar='NS', help="put before the fleet's, as at its launch"
    )
    parser.add_argument(
        '--seconds',
        type=_positive,
        default=8.0,
        metavar='S',
        help='listen to the network for S seconds at most; default 8',
    )
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Examine, and tell.

    :returns: 0 nothing fails, 1 something does.
    """
    fleet = load_fleet(args.fleet) if args.fleet else None
    _check_workers(args.worker, fleet)
    from pamdi_ros.cli.doctor_table import print_findings
    from pamdi_ros.cli.serve import make_console
    from pamdi_ros.doctor.finding import Verdict, worst
    from pamdi_ros.doctor.host import collect
    from pamdi_ros.doctor.torch_probe import asking_torch

    console = make_console(args.json)
    prefix = '' if fleet is None else fleet_prefix(fleet, args.namespace)
    with console.status('looking at this machine and the network …'), asking_torch() as torch:
        network, missing = _look(args.seconds, fleet, prefix)
        host = collect(torch)
    own = args.worker or ([] if fleet is None else _local(fleet, prefix, host))
    sections = _examine(fleet, own, host, network, missing)
    findings = [finding for section in sections.values() for finding in section]
    print_findings(console, host.name, sections)
    write_json(args.json, _outcome(fleet, host, sections))
    return 1 if worst(findings) is Verdict.FAIL else 0


def _look(seconds: float, fleet: Fleet | None, prefix: str) -> tuple[NetworkFacts | None, str]:
    """Look at the network.

    :returns: None where that is not possible, and why.
    """
    from pamdi_ros.doctor.host import middlewares

    chosen, there = os.environ.get('RMW_IMPLEMENTATION', ''), middlewares()
    if chosen and there and chosen not in there:  # importing rclpy would end this process
        return None, f'the middleware {chosen} is not installed'
    try:
        from pamdi_ros.nodes.monitor.fleet_look import CannotLook, look
    except ImportError as error:
        return None, f'there is no {error.name or error} here'
    try:
        if fleet is None:
            return look(seconds), ''
        topics = [resolve_topic(prefix, source) for source in fleet.sources.values()]
        return look(seconds, prefix, fleet.workers, topics), ''
    except CannotLook as error:
        return None, str(error)


def _examine(
    fleet: Fleet | None,
    own: list[str],
    host: HostFacts,
    network: NetworkFacts | None,
    missing: str,
) -> Sections:
    """Judge all that was seen, by section.

    :param own: workers of this machine.
    :param missing: why there is no network.
    """
    from pamdi_ros.doctor.examine import (
        examine_fleet,
        examine_host,
        examine_memory,
        examine_strangers,
        not_looked,
    )
    from pamdi_ros.doctor.weights import known_weights, Weights

    seen = None if network is None else network.asked
    weights = Weights() if fleet is None else known_weights(fleet, seen.plan if seen else None)
    if network is None:
        around = [not_looked(missing, fleet)]
    elif fleet is not None and seen is not None:
        around = list(examine_fleet(fleet, seen, network, host))
    else:
        around = list(examine_strangers(network))
    return {
        'this machine': [
            *examine_host(host, fleet, own),
            *examine_memory(host, fleet, own, seen, weights),
        ],
        'the network' if fleet is None else f'fleet {fleet.name}': around,
    }


def _local(fleet: Fleet, prefix: str, host: HostFacts) -> list[str]:
    return [name for name in fleet.workers if (prefix, name) in host.local_workers]


def _check_workers(names: list[str], fleet: Fleet | None) -> None:
    """Check what ``--worker`` names.

    :raises FleetError: there is no such worker.
    """
    known = [] if fleet is None else list(fleet.workers)
    unknown = [name for name in names if name not in known]
    if unknown:
        remedy = suggestion(unknown[0], known, 'worker') if known else 'give the FLEET too'
        raise FleetError(
            ConfigProblem(
                path='--worker', value=name, message=f'{name!r} is no worker', remedy=remedy
            )
            for name in unknown
        )


def _outcome(fleet: Fleet | None, host: HostFacts, sections: Sections) -> dict[str, Any]:
    """Return the findings as ``--json`` writes them."""
    findings = [
        {
            'section': section,
            'check': finding.check,
            'verdict': finding.verdict.name,
            'message': finding.message,
            'remedy': finding.remedy,
        }
        for section, found in sections.items()
        for finding in found
    ]
    counts = {
        verdict: sum(finding['verdict'] == verdict for finding in findings)
        for verdict in ('OK', 'WARN', 'FAIL')
    }
    return {
        'ok': counts['FAIL'] == 0,
        'host': host.name,
        'fleet': None if fleet is None else fleet.name,
        'counts': counts,
        'findings': findings,
    }


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not a positive number of seconds')
    return value
