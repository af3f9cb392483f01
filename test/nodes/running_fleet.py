# SPDX-License-Identifier: Apache-2.0
"""A fleet of real processes on real DDS, and a client that knows its public topics only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
import itertools
import os
from pathlib import Path
import signal
import sys
import time
from typing import Any

from pamdi_ros.fleet import fleet_nodes, load_fleet
from pamdi_ros.fleet.launch_plan import DDS_PROFILE_VARIABLES, Parameter
from pamdi_ros.fleet.resources import config_path
from pamdi_ros.msg import Assignment, InferenceResult, SourceStats, WorkerStatus
from pamdi_ros.supervisor import Child, MODULES, node_child, Supervisor
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, qos_profile_sensor_data, QoSProfile, ReliabilityPolicy
from rclpy.time import Time

#: Patience with anything that must come; a noisy machine takes its time [s].
PATIENCE_S = 120.0
#: And with a fleet that starts: on a new machine its models are built first [s].
START_PATIENCE_S = 600.0
#: A best-effort message may be lost, so what is unanswered is published again [s].
AGAIN_S = 10.0
#: What is sent before the other side knows of the match, too, is lost [s].
SETTLE_S = 0.5
#: Environment of fleets whose nodes are killed and started again: over Fast DDS's shared memory
#: such a node may hear nobody ever after (its issue 5053; one run here looked like it, unproven).
OVER_UDP = dict.fromkeys(DDS_PROFILE_VARIABLES, str(config_path('fastdds_udp.xml')))
RELIABLE = QoSProfile(depth=2000, reliability=ReliabilityPolicy.RELIABLE)
LATEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class Client:
    """A foreign rclpy node that listens to one fleet.

    :param fleet_file: tells names only.
    :ivar results: of each source, from sources/<source>/result, as they came.
    :ivar all_results: from the fleet-wide topic.
    :ivar status: the newest heartbeat of each worker; `heartbeats` has all, as they came.
    """

    def __init__(self, fleet_file: Path, domain: int) -> None:
        fleet = load_fleet(fleet_file)
        self.prefix = f'/{fleet.name}'
        self.results: dict[str, list[InferenceResult]] = {name: [] for name in fleet.sources}
        self.all_results: list[InferenceResult] = []
        self.status: dict[str, WorkerStatus] = {}
        self.heartbeats: list[WorkerStatus] = []
        self.stats: dict[str, SourceStats] = {}
        self.assignments: list[Assignment] = []
        self.between: list[Callable[[], object]] = []
        self._stamps = itertools.count(1)
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node('foreigner', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._publishers: dict[str, Any] = {}
        for name in fleet.sources:
            self.listen(f'sources/{name}/result', InferenceResult, self.results[name].append)
            self.listen(f'sources/{name}/stats', SourceStats, self._stats)
        for name in fleet.workers:
            self.listen(f'workers/{name}/status', WorkerStatus, self._status, LATEST)
        self.listen('results', InferenceResult, self.all_results.append)
        self.listen('assignment', Assignment, self.assignments.append, LATCHED)

    def listen(
        self, topic: str, kind: type, heard: Callable[[Any], object], qos: QoSProfile = RELIABLE
    ) -> None:
        """Subscribe; a topic without a leading / is one of the fleet's."""
        name = topic if topic.startswith('/') else f'{self.prefix}/{topic}'
        self.node.create_subscription(kind, name, heard, qos)

    def publisher(self, topic: str, kind: type, qos: QoSProfile = qos_profile_sensor_data) -> Any:
        """Publisher of a topic, made once."""
        name = topic if topic.startswith('/') else f'{self.prefix}/{topic}'
        if name not in self._publishers:
            self._publishers[name] = self.node.create_publisher(kind, name, qos)
        return self._publishers[name]

    def listened(self, topic: str, kind: type, qos: QoSProfile = qos_profile_sensor_data) -> Any:
        """Publisher of a topic on which somebody listens, made once."""
        publisher = self.publisher(topic, kind, qos)
        if not publisher.get_subscription_count():
            self.until(publisher.get_subscription_count, f'{topic}: nobody listens')
            self.spin(SETTLE_S)
        return publisher

    def publish_until(
        self, publisher: Any, make: Callable[[], Any], done: Callable[[], Any], what: str
    ) -> int:
        """Publish a message until a condition holds.

        :param make: makes the message, each time anew.
        :returns: how often it was published.
        """
        give_up_s = time.monotonic() + PATIENCE_S
        times, sent_s = 0, -AGAIN_S
        while not done():
            assert time.monotonic() < give_up_s, f'{what}; drops {self.drops()}'
            if time.monotonic() - sent_s > AGAIN_S:
                sent_s = time.monotonic()
                publisher.publish(make())
                times += 1
            self.spin(0.02)
        if times > 1:
            self.spin(AGAIN_S / 2)  # what came of the others is not to be taken for the next one's
        return times

    def until(self, done: Callable[[], Any], what: Any, patience_s: float = PATIENCE_S) -> Any:
        """Serve callbacks until a condition holds.

        :param what: told where it never does; a callable is called then.
        :returns: what the condition gave.
        """
        give_up_s = time.monotonic() + patience_s
        while not (found := done()):
            told = what() if callable(what) else what
            assert time.monotonic() < give_up_s, f'{told}; drops {self.drops()}'
            self.spin(0.05)
        return found

    def spin(self, seconds: float) -> None:
        """Serve callbacks for a while."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)
        for action in self.between:
            action()

    def ask(self, source: str, topic: str, message: Any, **options: Any) -> InferenceResult:
        """Publish a message until its result comes.

        A message with a header is recognised by a stamp of its own, another by being the only one.
        """
        publisher = self.listened(topic, type(message), **options)
        if stamped := hasattr(message, 'header'):
            message.header.stamp.sec = next(self._stamps)
        before = len(self.results[source])

        def result() -> InferenceResult | None:
            for result in self.results[source][before:]:
                if not stamped or result.header.stamp == message.header.stamp:
                    return result
            return None

        self.publish_until(publisher, lambda: message, result, f'no result of {source}')
        return result()

    def settled(self, source: str) -> SourceStats:
        """Wait until no item of a source is under way, and give its statistics."""
        asked_ns = self.node.get_clock().now().nanoseconds  # the nodes have the same clock
        stats: SourceStats = self.until(
            lambda: (
                (heard := self.stats.get(source)) is not None
                and Time.from_msg(heard.header.stamp).nanoseconds > asked_ns
                and heard.in_flight == 0
                and heard
            ),
            f'{source} has items in flight',
        )
        self.until(
            lambda: len(self.results[source]) >= stats.accepted,
            lambda: f'{stats.accepted} items, {len(self.results[source])} ends',
        )
        return stats

    def drops(self) -> dict[str, dict[str, int]]:
        """What was dropped, by source and by worker."""
        told = {**self.stats, **self.status}
        return {
            name: dict(zip(message.drop_reasons, map(int, message.drop_counts), strict=True))
            for name, message in told.items()
        }

    def close(self) -> None:
        """Leave."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def _status(self, status: WorkerStatus) -> None:
        self.status[status.worker] = status
        self.heartbeats.append(status)

    def _stats(self, stats: SourceStats) -> None:
        self.stats[stats.source] = stats
        dropped = sum(stats.drop_counts)
        assert stats.accepted == stats.results + dropped + stats.in_flight, stats


class RunningFleet:
    """Allocator and executors of a fleet, and a client; use it as a context manager.

    :param text: of the fleet file.
    :param directory: for the file and the logs.
    :param environment: of the nodes, besides the inherited one.
    :param respawn: start again what dies.
    :param late: nodes, such as ``one/executor``, that :meth:`start` will start.
    :param monitor: run the monitor, too.
    :param parameters: of the nodes, besides their own.
    :param executor: module that runs in place of the executor that ships; None: that one.
    :param lease_s: where the file has no policy_parameters [s]: longer than by default, so that
        heartbeats are fewer and a busy machine misses none; None: as by default.
    """

    def __init__(
        self,
        text: str,
        directory: Path,
        domain: int,
        environment: Mapping[str, str] | None = None,
        respawn: bool = False,
        late: Collection[str] = (),
        monitor: bool = False,
        parameters: Mapping[str, Parameter] | None = None,
        lease_s: float | None = 1.0,
        executor: str | None = None,
    ) -> None:
        if lease_s is not None and 'policy_parameters:' not in text:
            text += f'policy_parameters: {{lease_s: {lease_s}}}\n'
        directory.mkdir(parents=True, exist_ok=True)
        self.file = directory / 'fleet.yaml'
        self.file.write_text(text)
        self.fleet = load_fleet(self.file)
        self.logs = directory / 'logs'
        self.told: list[str] = []
        self._processes = Supervisor(self.logs, self.told.append)
        own = {
            'ROS_DOMAIN_ID': str(domain),
            # What a killed run of this fleet kept open would be ended by this one.
            'ROS_HOME': str(directory / 'ros_home'),
        }
        self._extra = {**own, **(environment or {})}
        self._modules = {MODULES['executor_node']: executor} if executor else {}
        if executor:
            self._extra['PYTHONPATH'] = os.pathsep.join(sys.path)
        nodes = [
            replace(node, parameters={**node.parameters, **(parameters or {})})
            for node in fleet_nodes(
                self.fleet, fleet_file=self.file, use_respawn=respawn, monitor=monitor
            )
        ]
        self._nodes = {child.name: child for child in map(self._child, nodes)}
        self._late = set(late)
        self.client = Client(self.file, domain)
        self.client.between.append(self._processes.watch)

    def __enter__(self) -> RunningFleet:
        """Start, and wait until all sources are served; without the allocator, until all speak."""
        now = [child for name, child in self._nodes.items() if name not in self._late]
        self._processes.start(now)
        planned = f'{self.fleet.name}/allocator' not in self._late
        try:
            done = self.serves if planned else self.speak
            self.client.until(done, self.state, START_PATIENCE_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes."""
        self._processes.stop(list(self._processes.children))
        self.client.close()

    def serves(self) -> bool:
        """Whether every worker that was started serves, and every source is open."""
        states = [status.state for status in self.client.status.values()]
        topics = [self.topic(name) for name in self.fleet.sources]
        return (
            self.speak()
            and all(state == WorkerStatus.STATE_SERVING for state in states)
            and all(self.client.node.count_subscribers(topic) for topic in topics)
        )

    def speak(self) -> bool:
        """Whether every worker that was started has sent a heartbeat."""
        started = {name for name in self.fleet.workers if f'{name}/executor' not in self._late}
        return started <= set(self.client.status)

    def state(self) -> str:
        """What the workers say of themselves, and the last lines that a person was told."""
        told = {name: (s.state, s.message) for name, s in self.client.status.items()}
        return f'{told}; {self.told[-5:]}'

    def topic(self, source: str) -> str:
        """Absolute topic of a source."""
        plan = self.fleet.sources[source]
        if plan.topic.startswith('/'):
            return plan.topic
        return f'/{self.fleet.name}/{plan.worker}/{plan.topic}'

    def process(self, name: str) -> Any:
        """Process of a node, such as ``one/executor``; None while it is dead."""
        return self._nodes[name].process

    def kill(self, name: str) -> None:
        """Kill a node outright and wait until it is known to be dead."""
        process = self.process(name)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    def start(self, name: str) -> None:
        """Start a node that was killed, or that was to come late."""
        child = self._nodes[name]
        self._processes.watch()
        self._processes.stop([child])
        self._late.discard(name)
        self._processes.start([child])

    def pids(self) -> list[int]:
        """Process ids of the nodes."""
        processes = [child.process for child in self._processes.children]
        return [process.pid for process in processes if process is not None]

    def log(self, name: str) -> str:
        """What a node has logged so far."""
        return (self.logs / f'{name.replace("/", ".")}.log').read_text()

    def _child(self, plan: Any) -> Child:
        child = node_child(plan)
        child.command = tuple(self._modules.get(part, part) for part in child.command)
        child.environment = {**child.environment, **self._extra}
        return child


def each_ended_once(results: list[InferenceResult]) -> bool:
    """Whether a source's items ended exactly once each, without a gap in their numbers."""
    return Counter(result.seq for result in results) == Counter(range(1, len(results) + 1))


def amiss(results: list[InferenceResult]) -> str:
    """Tell which of a source's items ended twice, and which numbers are missing."""
    counts = Counter(result.seq for result in results)
    twice = [
        (result.incarnation, result.seq, result.status, result.reason, round(result.latency_s, 4))
        for result in results
        if counts[result.seq] > 1
    ]
    return f'twice: {twice}; missing: {sorted(set(range(1, len(results) + 1)) - set(counts))}'


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return ') Z ' not in Path(f'/proc/{pid}/stat').read_text()
    except FileNotFoundError:
        return False


def children_of(pid: int) -> list[int]:
    """Process ids of all descendants."""
    found = []
    for entry in os.listdir('/proc'):
        try:
            if entry.isdigit():
                fields = Path(f'/proc/{entry}/stat').read_text().rsplit(') ', 1)[1].split()
                if int(fields[1]) == pid:
                    found += [int(entry), *children_of(int(entry))]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
