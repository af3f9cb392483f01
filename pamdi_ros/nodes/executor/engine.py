# SPDX-License-Identifier: Apache-2.0
"""The compute half of an executor: holds partitions, prepares items, runs units, answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
import contextlib
import gc
import logging
from pathlib import Path
import sys
import tempfile
import threading
import time
from typing import Any

import filelock
import numpy as np
from pamdi_ros.assignment import ANSWER_BYTES_PER_CLASS, partitions_of, Unit, units_of
from pamdi_ros.fleet import Fleet, Source
from pamdi_ros.models import Model, ModelError
from pamdi_ros.models.engines.host_process import default_threads
from pamdi_ros.models.engines.opening import open_engine, preload, resolve_device
from pamdi_ros.models.engines.protocol import time_range, UnitEngine, zeros_of
from pamdi_ros.models.engines.text import TextModel, Vocabulary
from pamdi_ros.models.graph.program import Signature
from pamdi_ros.models.tasks.answers import confidence, read_answer
from pamdi_ros.nodes.conversions.answer_tensors import AnswerTensors, CannotCompute
from pamdi_ros.nodes.executor.emulation import Pace
from pamdi_ros.nodes.executor.synthetic_engine import has_sizes_only, size_outcome
from pamdi_ros.nodes.progress import ModelProgress, UNITS, WEIGHTS
from pamdi_ros.nodes.sensors import BadInput, decode
from pamdi_ros.nodes.sensors.prepare import prepare
from pamdi_ros.nodes.wire import WireTensor
from pamdi_ros.nodes.wire.arrays import from_wire
from pamdi_ros.nodes.wire.placeholder import is_placeholder
from pamdi_ros.worker import ComputeUnit, Partition, Plan, Task, UnitResult

Arrays = tuple[np.ndarray[Any, Any], ...]

#: A text ends here: GPT-2's <|endoftext|>.
END_OF_TEXT = 50256
#: Runs of a unit that is loaded, to time it.
TRIES = 3
#: Whoever holds it loads and times a unit on this machine; and the longest wait for it [s].
TURN_FILE = Path(tempfile.gettempdir()) / 'pamdi_ros' / 'timing.lock'
TURN_PATIENCE_S = 10.0
#: What torch and ONNX Runtime say, in errors of no kind of their own, where memory is short.
_MEMORY_WORDS = ("can't allocate memory", 'out of memory', 'Failed to allocate memory')


class MemoryShort(Exception):  # noqa: N818 - it says what is the matter
    """There is too little memory; the text is the first line of what the runtime says."""


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Raise what says that memory is short as one error.

    :raises MemoryShort: it is; runtimes say so in errors of many kinds.
    """
    try:
        yield
    except Exception as error:
        line = str(error).partition('\n')[0]
        if not isinstance(error, MemoryError) and not any(word in line for word in _MEMORY_WORDS):
            raise
        raise MemoryShort(line) from None


class Engine:
    """Units of one worker and what is done with them.

    Each model has an engine of its own, as the fleet file asks for. One thread computes; another
    one may load and free meanwhile what is not computed.

    :param fleet: the fleet.
    :param worker: name of the worker.
    :ivar device: that the models run on where nothing keeps them from it.
    :ivar opening: the model that is opened now.
    :raises CannotCompute: the worker's device is not there.
    """

    def __init__(self, fleet: Fleet, worker: str) -> None:
        self._fleet = fleet
        self._worker = fleet.workers[worker]
        self._pace = Pace(self._worker)
        choices = [fleet.engine_of(worker, name).engine for name in fleet.models]
        try:
            self.device = resolve_device(self._worker.device, choices)
        except ModelError as error:
            raise CannotCompute(f'no_device: {error}') from error
        preload(choices)  # while nobody waits for this node's heartbeats
        self.opening = ModelProgress()
        self._threads = 0
        self._models: dict[str, Model] = {}
        self._engines: dict[str, UnitEngine] = {}
        self._reasons: dict[str, str] = {}
        self._making = threading.RLock()
        self._prepared_for = threading.local()
        self._texts: dict[str, TextModel] = {}
        self._vocabulary: Vocabulary | None = None
        self._labels: dict[str, tuple[str, ...]] = {}
        self._units: set[Unit] = set()
        self._unit_counts: dict[str, int] = {}

    @property
    def prepares(self) -> bool:
        """Whether items are to come as sensor messages."""
        return True

    @property
    def threads(self) -> int:
        """Threads of one operation, where nobody says otherwise."""
        return default_threads()

    def use_threads(self, threads: int) -> None:
        """Set how many threads one operation uses, of models that are opened from now on.

        :param threads: 0: the engine's own choice.
        """
        self._threads = threads

    # --- loading --------------------------------------------------------------------------------

    @property
    def held(self) -> tuple[Partition, ...]:
        """Units loaded now, in ranges."""
        return partitions_of(tuple(self._units))

    @property
    def memory_bytes(self) -> int:
        """Bytes that are held for units [byte]."""
        return sum(engine.held_bytes for engine in tuple(self._engines.values()))

    @property
    def engines(self) -> Mapping[str, str]:
        """What runs each model that was opened, and why not something else."""
        shown = {}
        for name, engine in dict(self._engines).items():
            notes = '; '.join(filter(None, (self._reasons.get(name, ''), engine.note)))
            shown[name] = f'{engine.name} {engine.device}' + (f': {notes}' if notes else '')
        return shown

    @property
    def digests(self) -> Mapping[str, str]:
        """How each model that was opened is cut into units."""
        return {name: model.table.digest() for name, model in dict(self._models).items()}

    def plan(self, plan: Plan) -> None:
        """Take what an assignment tells of the models, to compare."""
        self._unit_counts = {name: len(profile.flops) for name, profile in plan.models.items()}

    def learn(self, sources: Iterable[Source]) -> None:
        """Learn the models of the sources whose home is here: input shape, labels, tokens.

        :raises ModelError: a model cannot be built, or its labels do not fit.
        """
        for source in sources:
            model = self._model(source.model)
            if model.request.tokens is not None and self._vocabulary is None:
                self._vocabulary = Vocabulary()
            self._labels[source.model] = model.labels()

    def load(self, name: str, unit: int, timed: bool = True) -> float | None:
        """Load one unit and run it, so that its first task is not the slow one.

        :param timed: often enough to tell how long it takes.
        :returns: that time, without an execution's overhead [s]; None where it is not timed.
        :raises ModelError: it cannot be loaded.
        """
        model = self._model(name)
        planned = self._unit_counts.get(name, model.unit_count)
        if planned != model.unit_count:
            raise ModelError(
                f'models.{name}', model.unit_count,
                f'has that many units here, but {planned} in the assignment',
                'All machines need the same fleet.yaml and version of pamdi_ros.',
            )  # fmt: skip
        seconds = self._load(name, unit, unit + 1, timed)
        self._units.add((name, unit))
        return None if not timed else self._pace.unit_s(model.table.units[unit].flops, seconds)

    def fuses(self, name: str) -> bool:
        """Tell whether several units of an opened model may be loaded as one session."""
        return self._engine(name).fusible

    def load_session(self, name: str, first: int, last: int, alone: bool = False) -> float:
        """Load units [first, last) as one session and run it.

        :param alone: let the sessions of the single units go.
        :returns: the time that it takes, without an execution's overhead [s].
        :raises ModelError: it cannot be loaded.
        """
        seconds = 0.0
        for begin, end in self._pieces(name, first, last):
            seconds += self._load(name, begin, end, timed=True)
            for unit in range(begin, end) if alone and end - begin > 1 else ():
                self._engine(name).free(unit, unit + 1)
        return self._pace.unit_s(self._flops(name, first, last), seconds)

    def free_sessions(self, sessions: Iterable[Partition]) -> None:
        """Let go of sessions of several units; the units' own stay."""
        for session in sessions:
            for begin, end in self._pieces(session.model, session.first, session.last):
                if end - begin > 1:
                    self._engine(session.model).free(begin, end)

    def _load(self, name: str, first: int, last: int, timed: bool) -> float:
        """Load a range and run it, once more where memory was short; see :meth:`load`."""
        with self._alone() if timed else contextlib.nullcontext():
            with contextlib.suppress(MemoryShort), memory_errors():
                return self._tried(name, first, last, timed)
            free_memory()
            return self._tried(name, first, last, timed)

    def _tried(self, name: str, first: int, last: int, timed: bool) -> float:
        engine = self._engine(name)
        engine.load(first, last)
        # On a processor the time of this thread alone counts: while a fleet starts, others of this
        # machine take turns with it, and what they take is not the unit's.
        clock = time.thread_time if engine.device == 'cpu' else time.perf_counter
        self._prepare_thread(engine)
        signature = self._usual_signature(name, first)
        return time_range(engine, first, last, signature, TRIES if timed else 0, clock)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let executors that share this machine load and time their units one after the other.

        Timed beside each other they would all look slower than they are, some more than others.
        """
        try:
            TURN_FILE.parent.mkdir(parents=True, exist_ok=True)
            turn = filelock.FileLock(TURN_FILE, timeout=TURN_PATIENCE_S)
            turn.acquire()
        except (OSError, filelock.Timeout):  # a turn is not worth waiting for ever
            yield
            return
        try:
            yield
        finally:
            turn.release()

    def _usual_signature(self, name: str, unit: int) -> Signature:
        """Return what enters a unit at run time: of a text's narrow part one position."""
        model = self._model(name)
        signature = model.signature(unit)
        if model.narrow_at is None or unit < model.narrow_at:
            return signature
        (shape, dtype), *others = signature
        return (((shape[0], 1, *shape[2:]), dtype), *others)

    def _pieces(self, name: str, first: int, last: int) -> tuple[tuple[int, int], ...]:
        """Return a range in parts between which a text is narrowed to one position."""
        narrow_at = self._model(name).narrow_at
        if narrow_at is None or not first < narrow_at < last:
            return ((first, last),)
        return ((first, narrow_at), (narrow_at, last))

    def free(self, partitions: Iterable[Partition]) -> None:
        """Let go of units."""
        for name, unit in units_of(partitions):
            if (name, unit) in self._units:
                self._units.discard((name, unit))
                self._engine(name).free(unit, unit + 1)

    def labels(self, model: str) -> tuple[str, ...]:
        """Names of a learnt model's classes; () where they are not known."""
        return self._labels.get(model, ())

    def text(self, tokens: Sequence[int]) -> str:
        """Text of token ids."""
        if self._vocabulary is None:
            self._vocabulary = Vocabulary()
        return self._vocabulary.decode(tokens)

    # --- running --------------------------------------------------------------------------------

    def rested(self) -> None:
        """Note that there was nothing to do until now."""
        self._pace.rested()

    def run(self, work: ComputeUnit) -> UnitResult:
        """Prepare a raw item, or run units and answer where the model ends.

        What memory can be freed is freed, and the work tried once more, where there is too little.

        :raises CannotCompute: with the reason that the item's result will carry.
        """
        self._pace.begin()
        try:
            with contextlib.suppress(MemoryShort), memory_errors():
                return self._done(work)
            # Here, where the error's frames hold nothing of the first try any more.
            free_memory()
            with memory_errors():
                return self._done(work)
        except MemoryShort as error:
            raise CannotCompute(f'out_of_memory: {self.device}: {error}') from error
        except BadInput as error:
            raise CannotCompute(f'{error.reason}: {error}') from error
        except ModelError as error:
            raise CannotCompute(f'bad_tensor: {error}') from error
        except CannotCompute:
            raise
        except Exception as error:  # a model's own failure must cost one item, not the node
            logging.getLogger(__name__).exception('task %s failed', work.task.key)
            raise CannotCompute(f'compute_error: {type(error).__name__}: {error}') from error

    def _done(self, work: ComputeUnit) -> UnitResult:
        if work.test:
            return self._tested(work)
        if work.execution.raw:
            return self._prepared(work)
        if is_placeholder(work.execution.payload) and has_sizes_only(self._fleet):
            return self._passed_on(work)
        return self._computed(work)

    def _tested(self, work: ComputeUnit) -> UnitResult:
        """Run units on zeros, as they would run for an item."""
        self._on_zeros(work)
        return UnitResult(None, compute_s=self._pace.end())

    def _on_zeros(self, work: ComputeUnit) -> None:
        name = work.task.model
        self._check_held(name, work.first, work.last)
        zeros = zeros_of(self._usual_signature(name, work.first))
        is_text = self._model(name).narrow_at is not None
        self._run(name, work.first, work.last, zeros, position=int(is_text))

    def _prepared(self, work: ComputeUnit) -> UnitResult:
        """Turn a sensor message into the arrays that enter the model."""
        source = self._fleet.sources[work.task.key.source]
        message = decode(source.type, work.execution.payload)  # type: ignore[arg-type]
        model = self._model(source.model)
        ((shape, _), *_) = model.signature(0)  # (batch, channels, height, width)
        prepared = prepare(source, None if model.request.tokens else shape[1:], message)
        tokens: tuple[int, ...] = ()
        arrays: Arrays
        if isinstance(prepared, str):
            text = self._text(source.model)
            if self._vocabulary is None:  # learn() could not make it: say why once more
                self._vocabulary = Vocabulary()
            tokens = tuple(self._vocabulary.encode(prepared))
            arrays = text.inputs(tokens)
        else:
            arrays = prepared
        return UnitResult(
            payload=arrays,
            payload_bytes=_size(arrays),
            compute_s=self._pace.end(),
            tokens=tokens,
        )

    def _computed(self, work: ComputeUnit) -> UnitResult:
        """Run units; what leaves them stays on the device as long as the execution lasts."""
        name, execution = work.task.model, work.execution
        self._check_held(name, work.first, work.last)
        model = self._model(name)
        tensors = received_tensors(execution.payload)
        if not execution.started:
            check_signature(
                model.signature(work.first),
                tensors,
                name,
                work.first,
                narrow=bool(execution.tokens),
            )
        tensors = self._run(name, work.first, work.last, tensors, len(execution.tokens))
        result = self._result(work, tensors)
        if work.exit is not None:
            self._ask_exit(work, tensors, result)
        flops = self._flops(name, work.first, work.last)
        result.compute_s = self._pace.end_unit(flops, first=not execution.started)
        return result

    def _run(
        self, name: str, first: int, last: int, tensors: tuple[Any, ...], position: int
    ) -> tuple[Any, ...]:
        """Run units [first, last).

        :param position: tokens of the text; 0: it is none.
        """
        engine = self._engine(name)
        self._prepare_thread(engine)
        for begin, end in self._pieces(name, first, last):
            if position:
                tensors = self._text(name).narrow(begin, tensors, position)
            tensors, _ = engine.run(begin, end, tensors)
        return tensors

    def _check_held(self, name: str, first: int, last: int) -> None:
        for unit in range(first, last):
            if (name, unit) not in self._units:
                raise CannotCompute(f'not_held: unit {unit} of {name} is not loaded here')

    def _ask_exit(self, work: ComputeUnit, tensors: tuple[Any, ...], result: UnitResult) -> None:
        """Have the exit after the units answer, too, where it is confident enough.

        :param tensors: as the last unit gives them.
        """
        assert work.exit is not None
        logits = self._engine(work.task.model).head(work.last, tensors)
        if logits is not None and confidence(logits) >= work.exit.threshold:
            answer = self._answer(work.task, (logits,))
            result.confident, result.early = True, answer
            result.early_bytes = _size(answer.tensors)

    def _passed_on(self, work: ComputeUnit) -> UnitResult:
        """Run units on nothing: a worker before this one leaves the arithmetic out."""
        name = work.task.model
        model = self._model(name)
        self._on_zeros(work)
        flops = self._flops(name, work.first, work.last)
        compute_s = self._pace.end_unit(flops, first=not work.execution.started)
        sizes = [model.table.boundary_bytes(unit) for unit in range(model.unit_count)]
        top_k = self._fleet.sources[work.task.key.source].top_k
        return size_outcome(work, [*sizes, ANSWER_BYTES_PER_CLASS * top_k], compute_s)

    def _result(self, work: ComputeUnit, tensors: tuple[Any, ...]) -> UnitResult:
        """Return what follows from units: tensors for the next one, the next pass, the answer."""
        task, tokens = work.task, work.execution.tokens
        engine = self._engine(task.model)
        payload: object = tensors
        next_pass = False
        if work.answers and tokens:
            text = self._text(task.model)
            token = text.next_token(tensors[0], len(tokens))
            tokens = (*tokens, token)
            next_pass = work.execution.passes_left > 1 and token != END_OF_TEXT
            payload = tensors = text.inputs(tokens) if next_pass else ()
        if work.answers and not next_pass:
            payload = self._answer(task, engine.to_host(tensors))
            tensors = payload.tensors
        elif work.last == work.execution.last:  # what is kept for others is not kept on the device
            payload = tensors = engine.to_host(tensors)
        return UnitResult(
            payload=payload, payload_bytes=_size(tensors), tokens=tokens, next_pass=next_pass
        )

    def _answer(self, task: Task, outputs: Arrays) -> AnswerTensors:
        source = self._fleet.sources[task.key.source]
        answer = read_answer(outputs, source.top_k) if outputs else None
        return AnswerTensors(
            class_ids=np.array(answer.class_ids if answer else (), np.int32),
            scores=np.array(answer.scores if answer else (), np.float32),
            outputs=outputs if source.publish_outputs else (),
        )

    def _flops(self, name: str, first: int, last: int) -> int:
        return self._model(name).table.flops(first, last)

    # --- models and their engines ---------------------------------------------------------------

    def _prepare_thread(self, engine: UnitEngine) -> None:
        """Prepare the calling thread for an engine, once."""
        ready: set[str] | None = getattr(self._prepared_for, 'engines', None)
        if ready is None:
            ready = self._prepared_for.engines = set()
        if engine.name not in ready:
            engine.prepare_thread()
            ready.add(engine.name)

    def _engine(self, name: str) -> UnitEngine:
        engine = self._engines.get(name)
        if engine is None:
            with self._making:
                engine = self._engines.get(name)
                if engine is None:
                    model, choice = (
                        self._model(name),
                        self._fleet.engine_of(self._worker.name, name),
                    )
                    with self._opened(name, UNITS):
                        engine, self._reasons[name] = open_engine(
                            model, choice.engine, self.device, choice.providers, self._threads,
                        )  # fmt: skip
                    self._engines[name] = engine
        return engine

    def _model(self, name: str) -> Model:
        model = self._models.get(name)
        if model is None:
            with self._making:  # the thread that loads and the one that computes may want it
                model = self._models.get(name)
                if model is None:
                    with self._opened(name):
                        model = Model.from_spec(self._fleet.models[name].as_mapping())
                    self._models[name] = model
        return model

    @contextlib.contextmanager
    def _opened(self, name: str, what: str = WEIGHTS) -> Iterator[None]:
        self.opening.begin(name, time.monotonic(), what=what)
        try:
            yield
        finally:
            self.opening.end(time.monotonic())

    def _text(self, name: str) -> TextModel:
        if name not in self._texts:
            self._texts[name] = TextModel(self._model(name))
        return self._texts[name]


def free_memory() -> None:
    """Free what memory can be freed: what nobody refers to, and what torch keeps for later."""
    gc.collect()
    torch = sys.modules.get('torch')
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _size(tensors: Sequence[Any]) -> int:
    return sum(int(tensor.nbytes) for tensor in tensors)


def received_tensors(payload: object) -> tuple[Any, ...]:
    """Return a task's tensors, whether they were computed here or came over the wire."""
    assert isinstance(payload, tuple)
    return tuple(
        from_wire(tensor) if isinstance(tensor, WireTensor) else tensor for tensor in payload
    )


def check_signature(
    wanted: Signature, tensors: Sequence[Any], model: str, unit: int, narrow: bool
) -> None:
    """Check that tensors are what a unit takes.

    :param narrow: dimension 1, the position in a text, may be 1 as well.
    :raises CannotCompute: they are not; the text names what came and what is wanted.
    """
    came = [(tuple(tensor.shape), str(tensor.dtype).removeprefix('torch.')) for tensor in tensors]
    fits = len(came) == len(wanted) and all(
        dtype == other_dtype
        and (shape == other or (narrow and shape == (*other[:1], 1, *other[2:])))
        for (shape, dtype), (other, other_dtype) in zip(came, wanted, strict=True)
    )
    if not fits:
        raise CannotCompute(
            f'bad_tensor: unit {unit} of {model} takes {list(wanted)}, {came} came'
        )
