# SPDX-License-Identifier: Apache-2.0
"""The other workers as one executor sees them: what it sends them, who is there, who is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
import time

from pamdi_ros.fleet import Fleet
from pamdi_ros.msg import Control, WorkerStatus
from pamdi_ros.nodes import beacon_message, qos
from pamdi_ros.nodes.contact import Contact, Terms
from pamdi_ros.nodes.link_emulation import EmulatedLinks
from pamdi_ros.nodes.reach import way_through
from pamdi_ros.nodes.wire import BadMessage
from pamdi_ros.worker import Leg, Partition
from pamdi_ros.worker.control import Beacon
from pamdi_ros.worker.leases import Leases
from pamdi_ros.worker.plan import Edition
from rclpy.node import Node

#: Silence after which a peer is taken for lost where nobody says otherwise [s].
LEASE_S = 0.3
#: Word of what is wrong with beacons of a worker that runs twice.
TWO_WORKERS = 'two_workers'
#: Looks at silent peers in each lease.
LOOKS_PER_LEASE = 3
#: Time for which two runs that were heard at once are taken to go on [s].
DOUBLE_MEMORY_S = 5.0


class Peers:
    """Publishers to peers and subscriptions to their beacons, made when a plan asks.

    Callbacks come in rclpy's thread; sending is possible from any.

    :param node: the executor's node.
    :param fleet: the fleet.
    :param topic: makes absolute topic names.
    :param heard: called with each beacon.
    :param lost: called with the name of a peer that is silent, gone or restarted, before the first
        beacon of its new run is told.
    :param refused: called with what is wrong with a beacon that cannot be used.
    :param lease_s: a peer silent for longer is lost [s].
    :param most_credit: messages that each sender may have under way.
    :param links: carries what is sent; None: the network itself does.
    """

    def __init__(
        self,
        node: Node,
        fleet: Fleet,
        topic: Callable[[str], str],
        heard: Callable[[Beacon], None],
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
        self._contacts: dict[str, Contact] = {}
        self._wanted: set[str] = set()
        self.status: dict[str, WorkerStatus] = {}
        self._beacons: dict[str, Beacon] = {}
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
            self._contacts[worker] = Contact(self._terms, worker, self._beacon, gone)
        for worker in set(self._contacts) - wanted - self._wanted:
            self._contacts.pop(worker).close()
            self._leases.forget(worker)
            for known in (self.status, self._beacons, self._double_s):
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
        for worker in list(self._beacons):
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
        """Peers whose beacons came late, and how often: their host or the network is too busy."""
        return {name: contact.late for name, contact in self._contacts.items() if contact.late}

    def newest(self) -> Edition:
        """Return the newest assignment that a peer is under; (0, 0): none is."""
        return max((beacon.edition for beacon in self._beacons.values()), default=(0, 0))

    def doubled(self) -> list[str]:
        """Return the peers as which two executors run, by what was heard just now."""
        since_s = time.monotonic() - DOUBLE_MEMORY_S
        return sorted(name for name, heard_s in self._double_s.items() if heard_s > since_s)

    def waiting_for(self, model: str, legs: Iterable[Leg], own: str, timeout_s: float) -> str:
        """Say which worker of a fixed route cannot serve (yet); empty where all can.

        :param timeout_s: a peer silent for longer is taken for lost [s].
        """
        for leg in legs:
            if leg.worker == own:
                continue
            status = self.status.get(leg.worker)
            if status is None:
                return f'waiting for {leg.worker}: not heard yet; is its executor running?'
            silence_s = self._leases.silence_s(leg.worker, time.monotonic())
            if silence_s > timeout_s and leg.worker not in self._beacons:
                return (
                    f'{leg.worker} has not been heard for {silence_s:.0f} s; is its executor '
                    'running, does the network reach it?'
                )
            beacon = self._beacons.get(leg.worker)
            if beacon is None:
                return f'{leg.worker} has just been lost'
            ready = any(part.covers(model, leg.first, leg.last) for part in beacon.held)
            if not ready or not beacon.serving:
                why = status.message or 'loading'
                return f'waiting for {leg.worker}: {why}'
        return ''

    def waiting_for_a_way(self, model: str, unit_count: int, held: Iterable[Partition]) -> str:
        """Say which unit nobody within reach serves (yet); empty where all are served.

        For policies that decide each task: one way to the end is enough to open a source.

        :param unit_count: units of the model.
        :param held: partitions loaded here.
        """
        near = [
            beacon
            for worker, beacon in self._beacons.items()
            if beacon.serving and self._contacts[worker].matched()
        ]
        parts = [*held, *(part for beacon in near for part in beacon.held)]
        unit = way_through([part for part in parts if part.model == model], unit_count)
        if unit == unit_count:
            return ''
        absent = sorted(self._wanted - {beacon.worker for beacon in near})
        missing = f'; out of reach: {", ".join(absent)}' if absent else ''
        return f'waiting for a worker that holds unit {unit} of {model}{missing}'

    # --- inside ---------------------------------------------------------------------------------

    def _beacon(self, status: WorkerStatus) -> None:
        try:
            beacon = beacon_message.from_message(status, self._fleet)
        except BadMessage as error:
            self._refused(error)
            return
        if beacon.worker not in self._contacts:
            return  # on its way when the contact was given up
        before, now = self._beacons.get(beacon.worker), time.monotonic()
        earlier = before is not None and before.incarnation > beacon.incarnation
        if earlier and self._leases.runs(beacon.worker, now):
            self._double_s[beacon.worker] = now
            self._refused(
                BadMessage(
                    TWO_WORKERS,
                    f'an older run of worker {beacon.worker} still beacons beside the newer one; '
                    'is its executor started on two machines?',
                    sender=beacon.worker,
                )
            )
            return
        if before is not None and before.incarnation != beacon.incarnation:
            self._gone(beacon.worker)
        self.status[beacon.worker] = status
        self._beacons[beacon.worker] = beacon
        self._leases.heard(beacon.worker, beacon.loading, now)
        self._heard(beacon)

    def _not_alive(self, worker: str) -> None:
        """Take the middleware's word that a peer is silent, unless it may be for longer now."""
        now = time.monotonic()
        self._leases.look(now)
        if not self._leases.is_extended(worker, now):
            self._gone(worker)

    def _gone(self, worker: str) -> None:
        if self._beacons.pop(worker, None) is not None:
            self._lost(worker)
