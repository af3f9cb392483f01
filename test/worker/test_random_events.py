# SPDX-License-Identifier: Apache-2.0
"""One worker among peers that say and send anything: it never stumbles, its ledger adds up."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, RuleBasedStateMachine
from pamdi_ros.fleet import POLICIES, PolicyParameters
from pamdi_ros.worker import (
    Ack,
    Clearance,
    Command,
    ComputeUnit,
    Credit,
    ItemKey,
    Partition,
    PlannedExit,
    PublishResult,
    Release,
    Request,
    SendChunk,
    Status,
    Task,
    UnitResult,
    WorkerMachine,
)
from sweep import cases
from worker.cases import EXITS, foreign, free_plan, heartbeat, item, make_fleet, SIZE, UNITS

FLEET = make_fleet()
PEERS = st.sampled_from('bc')
PARTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, UNITS + 3)).map(
        lambda ends: Partition('net', min(ends[0], ends[1] - 1), ends[1])
    ),
    max_size=2,
)
SEQS = st.integers(1, 6)
BOUND = 3 * SIZE


class RandomEvents(RuleBasedStateMachine):
    """Worker a, home of two sources, under a clock that only goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.sent: list[SendChunk] = []
        self.asked: list[tuple[str, Request]] = []
        self.ended: list[ItemKey] = []
        self.accepted: list[ItemKey] = []
        self.numbers = 1000
        self.work: ComputeUnit | None = None
        self.worker = WorkerMachine('a', FLEET, incarnation=7)

    @initialize(policy=st.sampled_from([*POLICIES]), held=PARTS, exits=st.booleans())
    def begin(self, policy: str, held: list[Partition], exits: bool) -> None:
        parameters = PolicyParameters(retention_bytes=BOUND)
        self.worker = WorkerMachine('a', FLEET, incarnation=7, parameters=parameters)
        self.see(self.worker.opened(0.0))
        plan = free_plan(policy=policy, exits=EXITS if exits else ())
        self.see(self.worker.assigned(plan, 0.0))
        self.see(self.worker.holding(held, 0.0))

    def see(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, PublishResult):
                self.ended.append(command.task.key)
                assert bool(command.reason) == (command.status is not Status.RESULT)
                early = command.task.payload == 'early'
                assert not early or command.task.exit_unit in (1, 2)
                assert not early or command.task.next_unit == UNITS
            for told in getattr(command, 'items', ()):
                if isinstance(told, Request):
                    self.asked.append((command.worker, told))
        for _ in range(1000):
            frame = self.worker.next_chunk(self.now)
            if frame is None:
                break
            assert frame.worker != 'a'
            self.sent.append(frame)
        else:
            raise AssertionError('frames without end')
        if self.work is None:
            self.work, more = self.worker.next_compute(self.now)
            if more:
                self.see(more)

    @rule(seconds=st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.3, 1.0]))
    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.see(self.worker.tick(self.now))
        assert self.worker.wake_s(self.now) >= self.now

    @rule(source=st.sampled_from(['camera', 'log']), raw=st.booleans())
    def item(self, source: str, raw: bool) -> None:
        task = item(self.worker, source, self.now, raw=raw)
        self.accepted.append(task.key)
        self.see(self.worker.item_arrived(task, self.now))

    @rule(
        sender=PEERS,
        source=st.sampled_from(['camera', 'log', 'map']),
        incarnation=st.sampled_from([3, 7]),
        seq=SEQS,
        unit=st.integers(0, UNITS),
        status=st.sampled_from([*Status, Status.RESULT, Status.RESULT]),
        epoch=st.integers(0, 4),
        reason=st.sampled_from(['worker_lost: x', 'compute_error: x']),
    )
    def task(
        self,
        sender: str,
        source: str,
        incarnation: int,
        seq: int,
        unit: int,
        status: Status,
        epoch: int,
        reason: str,
    ) -> None:
        task: Task = foreign(
            source,
            key=ItemKey(source, incarnation, seq),
            next_unit=unit,
            epoch=epoch,
            arrived_s=self.now - 0.1,
            received_s=self.now,
            status=status,
            reason=reason if status is not Status.RESULT else '',
        )
        self.numbers += 1
        self.see(self.worker.task_received(task, sender, self.numbers, self.now))

    @rule(sender=PEERS, number=st.integers(1, 3), index=st.integers(0, 2))
    def piece(self, sender: str, number: int, index: int) -> None:
        complete, commands = self.worker.chunk_received(sender, number, index, 3, self.now)
        self.see(commands)
        if complete:
            task = foreign('map', number, received_s=self.now, arrived_s=self.now)
            self.see(self.worker.task_received(task, sender, number, self.now))

    @rule(which=st.integers(0, 9), accepted=st.booleans(), anybody=st.booleans(), peer=PEERS)
    def word(self, which: int, accepted: bool, anybody: bool, peer: str) -> None:
        if self.sent:
            frame = self.sent[-1 - which % len(self.sent)]
            task = frame.task
            word = Ack(
                frame.transfer, task.key, task.next_unit, task.passes_left, accepted,
                '' if accepted else 'refused: x',
            )  # fmt: skip
            sender = peer if anybody else frame.worker
            credit = Credit(frame.transfer, frame.index)
            self.see(self.worker.control_received(sender, [credit, word], self.now))

    @rule(
        which=st.integers(0, 9),
        granted=st.booleans(),
        wait_s=st.floats(0, 1),
        last_unit=st.integers(0, UNITS + 3),
    )
    def clearance(self, which: int, granted: bool, wait_s: float, last_unit: int) -> None:
        if self.asked:
            peer, request = self.asked[-1 - which % len(self.asked)]
            answer = Clearance(
                request.number, granted, wait_s=wait_s, service_s=0.01, last_unit=last_unit
            )
            self.see(self.worker.control_received(peer, [answer], self.now))

    @rule(sender=PEERS, seq=SEQS, unit=st.integers(0, 5), rank=st.integers(0, 3))
    def request(self, sender: str, seq: int, unit: int, rank: int) -> None:
        key = ItemKey('map', 3, seq)
        asked = Request(seq, key, 'net', rank, unit, SIZE, 0.1)
        self.see(self.worker.control_received(sender, [asked], self.now))

    @rule(sender=PEERS, source=st.sampled_from(['camera', 'log', 'map']), seq=SEQS)
    def release(self, sender: str, source: str, seq: int) -> None:
        key = ItemKey(source, 7, seq)
        self.see(self.worker.control_received(sender, [Release(key)], self.now))

    @rule(peer=PEERS, incarnation=st.integers(3, 5), serving=st.booleans(), held=PARTS)
    def heartbeat(self, peer: str, incarnation: int, serving: bool, held: list[Partition]) -> None:
        heard = heartbeat(peer, incarnation=incarnation, serving=serving, held=tuple(held))
        self.see(self.worker.heartbeat_heard(heard, self.now))

    @rule(peer=PEERS)
    def lose(self, peer: str) -> None:
        self.see(self.worker.peer_lost(peer, self.now))

    @rule(held=PARTS)
    def load(self, held: list[Partition]) -> None:
        self.see(self.worker.holding(held, self.now))

    @rule(
        epoch=st.integers(1, 4),
        urgent=st.booleans(),
        policy=st.sampled_from([*POLICIES]),
        exits=st.sampled_from([(), EXITS, EXITS]),
    )
    def assign(
        self, epoch: int, urgent: bool, policy: str, exits: tuple[PlannedExit, ...]
    ) -> None:
        classes = {'camera': 'background', 'log': 'critical', 'map': 'background'}
        plan = free_plan(epoch, policy=policy, exits=exits)
        if urgent:
            plan = free_plan(epoch, classes=classes, policy=policy, exits=exits)
        self.see(self.worker.assigned(plan, self.now))

    @rule(
        failed=st.booleans(),
        compute_s=st.sampled_from([0.0, 0.001, 0.05]),
        confident=st.booleans(),
    )
    def finish(self, failed: bool, compute_s: float, confident: bool = True) -> None:
        if self.work is None:
            return
        work, self.work = self.work, None
        self.now += compute_s
        if failed:
            self.see(self.worker.unit_failed(work, 'compute_error: x', self.now))
        else:
            assert work.exit is None or work.exit in EXITS
            sure = confident and work.exit is not None
            outcome = UnitResult(
                'payload', SIZE, compute_s, confident=sure, early='early', early_bytes=40
            )
            self.see(self.worker.unit_done(work, outcome, self.now))

    @rule(which=st.integers(0, 9))
    def no_contact(self, which: int) -> None:
        if self.sent:
            frame = self.sent[-1 - which % len(self.sent)]
            self.see(self.worker.not_sent(frame, 'no_contact: x', self.now))

    @rule(again=st.booleans())
    def close(self, again: bool) -> None:
        self.see(self.worker.closed(self.now))
        if again:
            self.see(self.worker.opened(self.now))

    @invariant()
    def the_ledger_adds_up_and_no_item_ends_twice(self) -> None:
        ledger = self.worker.ledger
        for source, counts in ledger.counts.items():
            ended = counts.results + counts.dropped.total()
            assert counts.accepted == ended + ledger.in_flight(source)
        assert len(self.ended) == len(set(self.ended))
        assert set(self.ended) | {task.key for task in ledger.items()} == set(self.accepted)

    @invariant()
    def what_is_kept_stays_within_the_bound(self) -> None:
        assert 0 <= self.worker.retained_bytes <= BOUND

    def teardown(self) -> None:
        """When nothing comes any more, everything drains."""
        for _ in range(12):
            self.now += 1.0
            self.see(self.worker.tick(self.now))
            self.finish(False, 0.0)
        assert set(self.ended) == set(self.accepted)
        assert (self.worker.waiting, self.worker.retained_bytes) == (0, 0)


TestRandomEvents = RandomEvents.TestCase
TestRandomEvents.settings = settings(
    max_examples=cases(150), stateful_step_count=40, deadline=None
)
