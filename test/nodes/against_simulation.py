# SPDX-License-Identifier: Apache-2.0
"""Runs a fleet file as real processes and in the simulator, on the same arrivals, and compares.

No test: it takes its time, and its figures depend on the machine. From the project's root::

    PYTHONPATH=test:$PYTHONPATH python -m nodes.against_simulation \
        config/scenarios/s2.yaml --load 0.8 --policy pa_mdi_plus ms_mdi local

The file's workers should be emulated without arithmetic (``compute: none``): items are empty
messages, so that the publisher costs the machine little.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
import os
from pathlib import Path
import tempfile
import time

from nodes import running_fleet
from nodes.running_fleet import Client, RunningFleet
import numpy as np
from pamdi_ros.fleet import Fleet, load_fleet
from pamdi_ros.fleet.launch_plan import DDS_PROFILE, DDS_PROFILE_VARIABLES
from pamdi_ros.fleet.resources import config_path
from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.msg import InferenceResult
from pamdi_ros.nodes.sensors import message_class
from pamdi_ros.simulation.load import loaded
from pamdi_ros.simulation.run import Setup, simulate
import yaml

DOMAIN = 81
#: Publishers and intakes find each other within this time [s].
SETTLE_S = 2.0
#: Seed of the arrivals.
SEED = 1


def with_rates(file: Path, fleet: Fleet, policy: str) -> str:
    """Return the fleet file's text with a policy, and every source's rate written out."""
    plain = yaml.safe_load(file.read_text(encoding='utf-8'))
    plain['policy'] = policy
    for name, source in plain['sources'].items():
        source.pop('load_share', None)
        source['rate_hz'] = fleet.sources[name].rate_hz
    return yaml.safe_dump(plain, sort_keys=False)


def publish(fleet: RunningFleet, arrivals: Mapping[str, Sequence[float]]) -> None:
    """Publish an empty message at each arrival, and wait until all items have ended."""
    client: Client = fleet.client
    kinds = {name: message_class(source.type) for name, source in fleet.fleet.sources.items()}
    out = {name: client.publisher(fleet.topic(name), kind, 10) for name, kind in kinds.items()}
    client.spin(SETTLE_S)
    begin_s = time.monotonic() + 0.5
    for at_s, name in sorted((at_s, name) for name, times in arrivals.items() for at_s in times):
        while (left_s := begin_s + at_s - time.monotonic()) > 0:
            client.spin(max(0.0003, left_s - 0.0003))
        out[name].publish(kinds[name]())
    for name in out:
        client.settled(name)


def compare(file: Path, load: float | None, seconds: float, policy: str) -> None:
    """Run one policy both ways and print both delays of every source."""
    fleet = load_fleet(file)
    tables = {name: unit_table(spec.as_mapping()) for name, spec in fleet.models.items()}
    fleet = loaded(fleet, tables, load)
    run = simulate(Setup(fleet=fleet, tables=tables, policy=policy, seconds=seconds, seed=SEED))
    print(f'{fleet.name}, load {load}, {policy}: mean and p95 [ms], emulated')
    with tempfile.TemporaryDirectory() as directory:
        home = {'ROS_HOME': f'{directory}/ros'}
        text = with_rates(file, fleet, policy)
        with RunningFleet(text, Path(directory), DOMAIN, home) as running:
            publish(running, run.arrivals)
            for name, results in running.client.results.items():
                ends = [end for end in run.ends if end.source == name]
                told = [1e3 * end.latency_s for end in ends if not end.reason]
                real = [
                    1e3 * result.latency_s
                    for result in results
                    if result.status == InferenceResult.RESULT
                ]
                (mean, p95), (expected, bound) = (
                    (np.mean(delays), np.percentile(delays, 95)) for delays in (real, told)
                )
                print(
                    f'  {name:12} real {mean:6.1f} {p95:6.1f} ({len(real)} of {len(results)}), '
                    f'simulated {expected:6.1f} {bound:6.1f}, p95 × {p95 / bound:.2f}'
                )


def main() -> None:
    """Compare as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('fleet', type=Path)
    parser.add_argument('--load', type=float)
    parser.add_argument('--seconds', type=float, default=30.0)
    parser.add_argument('--policy', nargs='+', default=['pa_mdi_plus'])
    args = parser.parse_args()
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ.update(dict.fromkeys(DDS_PROFILE_VARIABLES, str(config_path(DDS_PROFILE))))
    running_fleet.PATIENCE_S = 60.0
    for policy in args.policy:
        compare(args.fleet, args.load, args.seconds, policy)


if __name__ == '__main__':
    main()
