# SPDX-License-Identifier: Apache-2.0
"""The peers of a worker while it serves: told to its state machine, and to people."""

from __future__ import annotations

from collections.abc import Callable, Iterable
import time

from pamdi_ros.fleet import Fleet, PolicyParameters
from pamdi_ros.msg import WorkerStatus
from pamdi_ros.nodes.executor.presence_log import PresenceLog, Word
from pamdi_ros.nodes.executor.report import Health
from pamdi_ros.nodes.executor.runtime import Runtime
from pamdi_ros.nodes.transport.link_emulation import EmulatedLinks
from pamdi_ros.nodes.transport.peers import PeerConnections
from pamdi_ros.nodes.wire import BadMessage
from pamdi_ros.worker import Partition, Plan
from pamdi_ros.worker.control import Heartbeat
from pamdi_ros.worker.routing.policies import make_policy
from rclpy.node import Node

#: Patience with peers that have not been found yet, before the worker says that it serves [s].
REACH_PATIENCE_S = 5.0


class PeerManager:
    """Follows the peers of one worker under the assignment in force.

    :param node: the executor's node.
    :param fleet: the fleet.
    :param worker: name of this worker.
    :param topic: makes absolute topic names.
    :param parameters: of the policy.
    :param links: carries what is sent; None: the network itself does.
    :param runtime: is told what is heard.
    :ivar peers: their topics.
    """

    def __init__(
        self,
        node: Node,
        fleet: Fleet,
        worker: str,
        *,
        topic: Callable[[str], str],
        parameters: PolicyParameters,
        links: EmulatedLinks | None,
        runtime: Runtime,
    ) -> None:
        self.peers = PeerConnections(
            node,
            fleet,
            topic,
            self._heard,
            lost=self._lost,
            refused=self._refused,
            lease_s=parameters.lease_s,
            most_credit=parameters.most_credit,
            links=links,
        )
        self._log = node.get_logger()
        self._fleet = fleet
        self._worker = worker
        self._parameters = parameters
        self._runtime = runtime
        self._home_of = {name: source.worker for name, source in fleet.sources.items()}
        self._since_s = float('-inf')
        self._found: set[str] = set()
        self._followed: frozenset[str] = frozenset()
        self._absent: dict[str, float] = {}
        self._presence = PresenceLog()
        self._health: Health | None = None

    def follow(self, plan: Plan) -> None:
        """Keep contact with the peers of a new assignment."""
        wanted = plan.peers(self._worker, self._home_of)
        if not wanted <= self._found:
            self._since_s = time.monotonic()
        self.peers.keep(wanted)
        for name in set(self._followed) - wanted:
            self._absent.pop(name, None)
            self._presence.forget(name)
        self._followed = wanted

    def close(self) -> None:
        """Give up all contacts."""
        self.peers.close()

    def look(self) -> None:
        """See who is there; to be called a few times in each lease, by rclpy's thread."""
        self.peers.watch()
        now = time.monotonic()
        self._say(self._presence.look(now))
        unreached = [name for name in self.peers.out_of_reach() if name not in self._found]
        self._found.update(name for name in self.peers.status if name not in unreached)
        absent = [f'{name} for {now - since:.0f} s' for name, since in self._absent.items()]
        if unreached and now - self._since_s < REACH_PATIENCE_S:
            text = f'waiting for the inbox of {", ".join(unreached)}'
            self._health = Health(state=WorkerStatus.STATE_LOADING, message=text)
        elif unreached or absent:
            text = f'not there: {", ".join([*absent, *unreached])}'
            self._health = Health(state=WorkerStatus.STATE_SERVING, message=text)
        else:
            self._health = None

    def health(self) -> Health | None:
        """Return how this worker is where that is due to its peers; None where all are there."""
        return self._health

    def mismatches(self) -> dict[str, str]:
        """Topics to or from peers whose other end asks for another QoS, and what to do."""
        return self.peers.mismatches()

    def doubled(self) -> list[str]:
        """Peers as which two executors run."""
        return self.peers.doubled()

    def late(self) -> dict[str, int]:
        """Peers whose heartbeats came late, and how often: their host or the wire is too busy."""
        return self.peers.late()

    def waiting_for(self, source: str, plan: Plan, held: Iterable[Partition], loading: str) -> str:
        """Say what a source of this home waits for; empty where it can be served.

        :param held: partitions loaded here.
        :param loading: what to say where something of a fixed route is not loaded here.
        """
        planned = plan.sources[source]
        held = tuple(held)
        if not make_policy(plan.policy, self._parameters, len(self._fleet.workers)).fixed_route:
            return self.peers.waiting_for_a_way(planned.model, planned.unit_count, held)
        for stage in planned.route:
            covered = any(part.covers(planned.model, stage.first, stage.last) for part in held)
            if stage.worker == self._worker and not covered:
                return loading or 'loading'
        lease_s = self._parameters.lease_s
        return self.peers.waiting_for(planned.model, planned.route, self._worker, lease_s)

    # --- what is heard --------------------------------------------------------------------------

    def _heard(self, heartbeat: Heartbeat) -> None:
        self._absent.pop(heartbeat.worker, None)
        self._say(self._presence.back(heartbeat.worker, time.monotonic()))
        self._runtime.tell(lambda machine, now: machine.heartbeat_heard(heartbeat, now))

    def _lost(self, worker: str) -> None:
        now = time.monotonic()
        self._absent[worker] = now
        self._say(self._presence.lost(worker, now))
        self._runtime.tell(lambda machine, now: machine.peer_lost(worker, now))

    def _say(self, words: Iterable[Word]) -> None:
        for word in words:
            if word.grave:  # rclpy wants one severity for each place in the code
                self._log.warning(word.text)
            else:
                self._log.info(word.text)

    def _refused(self, error: BadMessage) -> None:
        reason = str(error)
        self._runtime.tell(lambda machine, now: machine.rejected(reason, error.sender))
