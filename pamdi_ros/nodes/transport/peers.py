# SPDX-License-Identifier: Apache-2.0
"""The other workers as one executor sees them: what it sends them, who is there, who is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
import time

from pamdi_ros.assignment import Edition, held_end
from pamdi_ros.fleet import Fleet
from pamdi_ros.msg import Control, WorkerStatus
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.conversions import heartbeat_message as heartbeat_message
from pamdi_ros.nodes.transport.link_emulation import EmulatedLinks
from pamdi_ros.nodes.transport.peer_connection import PeerConnection, Terms
from pamdi_ros.nodes.wire import BadMessage
from pamdi_ros.worker import Partition, PipelineStage
from pamdi_ros.worker.control import Heartbeat
from pamdi_ros.worker.leases import Leases
from rclpy.node import Node

#: Silence after which a peer is taken for lost where nobody says otherwise [s].
LEASE_S = 0.3
#: Word of what is wrong with heartbeats of a worker that runs twice.
TWO_WORKERS = 'two_workers'
#: Looks at silent peers in each lease.
LOOKS_PER_LEASE = 3
#: Time for which two runs that were heard at once are taken to go on [s].
DOUBLE_MEMORY_S = 5.0


class PeerConnections:
    """Publishers to peers and subscriptions to their heartbeats, made when a plan asks.

    Callbacks come in rclpy's thread; sending is possible from any.

    :param node: the executor's node.
    :param fleet: the fleet.
    :param topic: makes absolute topic names.
    :param heard: called with each heartbeat.
    :param lost: called with the name of a peer that is silent, gone or restarted, before the first
        heartbeat of its new run is told.
    :param refused: called with what is wrong with a heartbeat that cannot be used.
    :param lease_s: a peer silent for longer is lost [s].
    :param most_credit: messages that each sender may have under way.
    :param links: carries what is sent; None: the network itself does.
    """

    def __init__(
        self,
        node: Node,
        fleet: Fleet,
        topic: Callable[[str], str],
        heard: Callable[[Heartbeat], None],
        *,
        lost: Callable[[str], None] = lambda worker: None,
        refused: Callable[[BadMessage], None] = lambda error: None,
        lease_s: float = LEASE_S,
        most_credit: int = qos.MOST_CREDIT,
        links: EmulatedLinks | None = None,
    ) -> None:
        self._fleet = fleet
        self._heard = heard
        self._lost = lost
        self._refused = refused
        self._terms = Terms(
            node=node,
            fleet=fleet,
            topic=topic,
            lease_s=lease_s,
            most_credit=most_credit,
            links=links,
        )
        self._contacts: dict[str, PeerConnection] = {}
        self._wanted: set[str] = set()
        self.status: dict[str, WorkerStatus] = {}
        self._heartbeats: dict[str, Heartbeat] = {}
        self._leases = Leases(lease_s, lease_s / LOOKS_PER_LEASE)
        self._double_s: dict[str, float] = {}

    # --- contacts -------------------------------------------------------------------------------

    def keep(self, workers: Iterable[str]) -> None:
        """Keep contact with these workers, and for once more with those kept until now.

        What was routed under the last assignment still has to reach them.
        """
        wanted = set(workers)
        for worker in sorted(wanted - set(self._contacts)):
            gone = partial(self._not_alive, worker)
            self._contacts[worker] = PeerConnection(self._terms, worker, self._heartbeat, gone)
        for worker in set(self._contacts) - wanted - self._wanted:
            self._contacts.pop(worker).close()
            self._leases.forget(worker)
            for known in (self.status, self._heartbeats, self._double_s):
                known.pop(worker, None)
        self._wanted = wanted

    def close(self) -> None:
        """Give up all contacts."""
        self.keep(())
        self.keep(())

    def check_sender(self, sender: str) -> None:
        """Check that a message comes from another worker of this fleet.

        :raises BadMessage: it does not.
        """
        if sender not in self._fleet.workers:
            raise BadMessage(
                'unknown_sender', f'{sender!r} is no worker of fleet {self._fleet.name}'
            )

    # --- sending --------------------------------------------------------------------------------

    def send(self, worker: str, priority_class: str, data: bytes, in_pieces: bool = False) -> bool:
        """Publish a serialized Task to a peer's inbox, or one piece of it.

        :param in_pieces: it is a Chunk.
        :returns: False where this worker has no contact with the peer.
        """
        name = 'chunks' if in_pieces else 'inbox'
        contact = self._contacts.get(worker)
        sent = contact and contact.publish(f'{name}/{priority_class}', data, len(data))
        return bool(sent)

    def tell(self, worker: str, message: Control, size: int) -> bool:
        """Publish control traffic to a peer.

        :param size: that it is taken to have on an emulated link [byte].
        :returns: as :meth:`send`.
        """
        contact = self._contacts.get(worker)
        return bool(contact and contact.publish('control', message, size))

    # --- who is there ---------------------------------------------------------------------------

    def watch(self) -> None:
        """Look for silent peers; to be called a few times in each lease.

        The middleware's liveliness events say it sooner, but not every middleware has them.
        """
        now = time.monotonic()
        self._leases.look(now)
        for worker in list(self._heartbeats):
            if not self._leases.runs(worker, now):
                self._gone(worker)

    def out_of_reach(self) -> list[str]:
        """Peers of the present assignment whose topics have not been found yet."""
        return sorted(
            worker
            for worker, contact in self._contacts.items()
            if worker in self._wanted and not contact.matched()
        )

    def mismatches(self) -> dict[str, str]:
        """Topics to or from peers whose other end asks for another QoS, and what to do."""
        told = [contact.mismatches() for contact in self._contacts.values()]
        return {topic: text for one in told for topic, text in one.items()}

    def late(self) -> dict[str, int]:
        """Peers whose heartbeats came late, and how often: their host or the wire is too busy."""
        return {name: contact.late for name, contact in self._contacts.items() if contact.late}

    def newest(self) -> Edition:
        """Return the newest assignment that a peer is under; (0, 0): none is."""
        return max((heartbeat.edition for heartbeat in self._heartbeats.values()), default=(0, 0))

    def doubled(self) -> list[str]:
        """Return the peers as which two executors run, by what was heard just now."""
        since_s = time.monotonic() - DOUBLE_MEMORY_S
        return sorted(name for name, heard_s in self._double_s.items() if heard_s > since_s)

    def waiting_for(
        self, model: str, stages: Iterable[PipelineStage], own: str, timeout_s: float
    ) -> str:
        """Say which worker of a fixed route cannot serve (yet); empty where all can.

        :param timeout_s: a peer silent for longer is taken for lost [s].
        """
        for stage in stages:
            if stage.worker == own:
                continue
            status = self.status.get(stage.worker)
            if status is None:
                return f'waiting for {stage.worker}: not heard yet; is its executor running?'
            silence_s = self._leases.silence_s(stage.worker, time.monotonic())
            if silence_s > timeout_s and stage.worker not in self._heartbeats:
                return (
                    f'{stage.worker} has not been heard for {silence_s:.0f} s; is its executor '
                    'running, does the network reach it?'
                )
            heartbeat = self._heartbeats.get(stage.worker)
            if heartbeat is None:
                return f'{stage.worker} has just been lost'
            ready = any(part.covers(model, stage.first, stage.last) for part in heartbeat.held)
            if not ready or not heartbeat.serving:
                why = status.message or 'loading'
                return f'waiting for {stage.worker}: {why}'
        return ''

    def waiting_for_a_way(self, model: str, unit_count: int, held: Iterable[Partition]) -> str:
        """Say which unit nobody within reach serves (yet); empty where all are served.

        For policies that decide each task: one way to the end is enough to open a source.

        :param unit_count: units of the model.
        :param held: partitions loaded here.
        """
        near = [
            heartbeat
            for worker, heartbeat in self._heartbeats.items()
            if heartbeat.serving and self._contacts[worker].matched()
        ]
        parts = [*held, *(part for heartbeat in near for part in heartbeat.held)]
        unit = held_end(sorted(parts), model, 0)
        if unit >= unit_count:
            return ''
        absent = sorted(self._wanted - {heartbeat.worker for heartbeat in near})
        missing = f'; out of reach: {", ".join(absent)}' if absent else ''
        return f'waiting for a worker that holds unit {unit} of {model}{missing}'

    # --- inside ---------------------------------------------------------------------------------

    def _heartbeat(self, status: WorkerStatus) -> None:
        try:
            heartbeat = heartbeat_message.from_message(status, self._fleet)
        except BadMessage as error:
            self._refused(error)
            return
        if heartbeat.worker not in self._contacts:
            return  # on its way when the contact was given up
        before, now = self._heartbeats.get(heartbeat.worker), time.monotonic()
        earlier = before is not None and before.incarnation > heartbeat.incarnation
        if earlier and self._leases.runs(heartbeat.worker, now):
            self._double_s[heartbeat.worker] = now
            self._refused(
                BadMessage(
                    TWO_WORKERS,
                    f'an older run of worker {heartbeat.worker} still sends heartbeats beside the '
                    'newer one; is its executor started on two machines?',
                    sender=heartbeat.worker,
                )
            )
            return
        if before is not None and before.incarnation != heartbeat.incarnation:
            self._gone(heartbeat.worker)
        self.status[heartbeat.worker] = status
        self._heartbeats[heartbeat.worker] = heartbeat
        self._leases.heard(heartbeat.worker, heartbeat.loading, now)
        self._heard(heartbeat)

    def _not_alive(self, worker: str) -> None:
        """Take the middleware's word that a peer is silent, unless it may be for longer now."""
        now = time.monotonic()
        self._leases.look(now)
        if not self._leases.is_extended(worker, now):
            self._gone(worker)

    def _gone(self, worker: str) -> None:
        if self._heartbeats.pop(worker, None) is not None:
            self._lost(worker)
