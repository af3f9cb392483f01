# SPDX-License-Identifier: Apache-2.0
"""The allocator: computes who holds and runs what, and publishes it as a latched Assignment."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
import os
from pathlib import Path
import time
from typing import NoReturn

from pamdi_ros.allocation import Costs, plan_static_chain
from pamdi_ros.fleet import Fleet
from pamdi_ros.models.catalog import unit_table
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.units import UnitTable
from pamdi_ros.msg import Assignment, WorkerStatus
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.assignment_message import to_message
from pamdi_ros.nodes.fleet_node import FleetNode, run
from pamdi_ros.worker import Plan

POLL_PERIOD_S = 0.05
#: Without a remembered epoch, workers that run already are given this time to tell theirs [s].
LISTEN_S = 2.0
#: Epochs are 64 bits on the wire; a true one is nowhere near.
LARGEST_EPOCH = 2**62


class AllocatorNode(FleetNode):
    """Plans when it is activated, and again above any epoch it sees in the workers' beacons."""

    def __init__(self) -> None:
        super().__init__('allocator')
        self._plan: Plan | None = None
        self._planning: Future[tuple[dict[str, UnitTable], dict[str, str]]] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._publisher = None
        self._timer = None
        self._subscriptions_made: list[object] = []
        self._newest_epoch = 0
        self._listen_until_s = 0.0
        self._epoch_file = Path()

    def set_up(self, fleet: Fleet) -> None:
        """Recall the last epoch, offer the assignment topic and listen to the beacons."""
        self._epoch_file = epoch_file(self.prefix)
        self._newest_epoch = read_epoch(self._epoch_file)
        self._publisher = self.create_publisher(
            Assignment, self.topic('assignment'), qos.ASSIGNMENT
        )
        for worker in fleet.workers:
            self._subscriptions_made.append(
                self.create_subscription(
                    WorkerStatus, self.topic(f'workers/{worker}/status'), self._heard, qos.STATUS
                )
            )

    def start(self) -> None:
        """Fetch the models' unit tables in another thread: a first one takes a while to build."""
        assert self.fleet is not None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix='plan')
        self._planning = self._thread.submit(fetch_tables, self.fleet)
        self._listen_until_s = time.monotonic() + LISTEN_S
        self._timer = self.create_timer(POLL_PERIOD_S, self._publish_when_ready)

    def stop(self) -> None:
        """Cease to plan; the fleet runs on under the last assignment."""
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = None
        self._planning = None

    def tear_down(self) -> None:
        """Withdraw the topics."""
        if self._publisher is not None:
            self.destroy_publisher(self._publisher)
            self._publisher = None
        for subscription in self._subscriptions_made:
            self.destroy_subscription(subscription)
        self._subscriptions_made.clear()
        self._plan = None

    def _publish_when_ready(self) -> None:
        listening = not self._newest_epoch and time.monotonic() < self._listen_until_s
        if self._planning is not None and self._planning.done() and not listening:
            try:
                tables, unusable = self._planning.result()
            except Exception as error:  # it must be told, and beacons must go on being heard
                self.get_logger().error(f'cannot plan: {type(error).__name__}: {error}')
                self._planning = None
                return
            self._planning = None
            started = time.perf_counter()
            costs = Costs(fleet=self.fleet, tables=tables)
            self._plan = plan_static_chain(costs, self._newest_epoch + 1, unusable)
            took_s = time.perf_counter() - started
            self._publish(f'planned in {1e3 * took_s:.1f} ms')
        elif self._plan is not None and self._newest_epoch > self._plan.epoch:
            if self.count_publishers(self.topic('assignment')) > 1:
                self.get_logger().error(
                    f'another allocator of fleet {self.fleet.name} is active, the workers follow '
                    f'its epoch {self._newest_epoch}; stop one of the two',
                    throttle_duration_sec=10.0,
                )
            else:
                self._renumber()

    def _renumber(self) -> None:
        """Rise above an epoch that the workers kept from an earlier allocator."""
        old = self._plan
        self._plan = Plan(
            epoch=self._newest_epoch + 1,
            policy=old.policy,
            placement=old.placement,
            sources=old.sources,
        )
        self._publish(f'the workers were at epoch {self._newest_epoch} already')

    def _publish(self, why: str) -> None:
        self._newest_epoch = max(self._newest_epoch, self._plan.epoch)
        self._remember(self._newest_epoch)
        message = to_message(self._plan, self.fleet)
        message.header.stamp = self.get_clock().now().to_msg()
        self._publisher.publish(message)
        self.get_logger().info(f'assignment {self._plan.epoch} ({self._plan.policy}): {why}')
        wanted = self.fleet.policy
        if wanted != self._plan.policy:
            self.get_logger().warning(
                f'policy {wanted} is not built yet; the fleet runs {self._plan.policy}'
            )
        for name, source in self._plan.sources.items():
            way = ' -> '.join(f'{leg.worker}[{leg.first}:{leg.last})' for leg in source.route)
            if way:
                self.get_logger().info(f'  {name} ({source.model}): {way}')
            else:
                self.get_logger().error(f'  {name} has no route: {source.reason}')

    def _remember(self, epoch: int) -> None:
        try:
            self._epoch_file.parent.mkdir(parents=True, exist_ok=True)
            self._epoch_file.write_text(f'{epoch}\n', encoding='ascii')
        except OSError as error:  # the workers' beacons still tell a restarted allocator
            self.get_logger().warning(f'cannot remember epoch {epoch}: {error}')

    def _heard(self, status: WorkerStatus) -> None:
        if status.epoch <= LARGEST_EPOCH:  # a beacon that lies must not use up all numbers
            self._newest_epoch = max(self._newest_epoch, status.epoch)


def epoch_file(prefix: str) -> Path:
    """File that keeps the epoch over a restart: below $ROS_HOME, else ~/.ros."""
    home = Path(os.environ.get('ROS_HOME') or Path.home() / '.ros')
    return home / 'pamdi_ros' / (prefix.strip('/').replace('/', '.') + '.epoch')


def read_epoch(path: Path) -> int:
    """Read the last epoch; 0 where none is remembered."""
    try:
        return max(0, int(path.read_text(encoding='ascii')))
    except (OSError, ValueError):
        return 0


def fetch_tables(fleet: Fleet) -> tuple[dict[str, UnitTable], dict[str, str]]:
    """Get the unit table of every model that a source uses.

    :returns: tables by model, and the reason by model for those that cannot be used.
    """
    tables, unusable = {}, {}
    for name in dict.fromkeys(source.model for source in fleet.sources.values()):
        try:
            tables[name] = unit_table(fleet.models[name].as_mapping())
        except ModelError as error:
            unusable[name] = f'model {name}: {error}'
    return tables, unusable


def main() -> NoReturn:
    """Run the node."""
    run(AllocatorNode)


if __name__ == '__main__':
    main()
