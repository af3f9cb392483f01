# SPDX-License-Identifier: Apache-2.0
"""How soon each failure signature appears on /diagnostics, and how soon it clears.

PYTHONPATH=test:$PYTHONPATH python -m nodes.bench_signatures [--runs 3]
"""

from __future__ import annotations

import argparse
from pathlib import Path
import tempfile
import time

from nodes.running_fleet import RunningFleet
from nodes.watched_fleet import Ear, Feed, PROVOKED, QUIET, WATCHED

DOMAIN = 91


def main() -> None:
    """Provoke one after the other and print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--runs', type=int, default=1)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as directory:
        home = {'ROS_HOME': directory}
        with RunningFleet(WATCHED, Path(directory), DOMAIN, home, monitor=True) as fleet:
            ear, feed = Ear(fleet), Feed(fleet)
            fleet.client.until(lambda: ear.level('check QoS') is not None, 'no monitor')
            for _ in range(runs):
                for name, rates in PROVOKED.items():
                    measure(fleet, ear, feed, name, rates)


def measure(fleet: RunningFleet, ear: Ear, feed: Feed, name: str, rates: dict[str, float]) -> None:
    """Provoke a signature and let it go again."""
    feed.run(3.0)
    fleet.client.until(lambda: all(ear.level(n) == 0 for n in PROVOKED), ear.state)
    began_s = time.monotonic()
    feed.change(rates)
    fleet.client.until(lambda: ear.level(name), lambda: f'{name}: {ear.state()}', 30.0)
    raised_s = time.monotonic() - began_s
    told = ear.says(name)
    feed.run(2.0)
    feed.change(QUIET)
    began_s = time.monotonic()
    fleet.client.until(lambda: ear.level(name) == 0, lambda: f'{name}: {ear.state()}', 60.0)
    cleared_s = time.monotonic() - began_s
    print(f'{name}: raised after {raised_s:.1f} s, cleared after {cleared_s:.1f} s', flush=True)
    print(f'    {told}', flush=True)


if __name__ == '__main__':
    main()
