# SPDX-License-Identifier: Apache-2.0
"""The compute half of an executor: holds partitions, prepares items, runs units, answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
import contextlib
import gc
import logging
from pathlib import Path
import tempfile
import threading
import time
from typing import TYPE_CHECKING

import filelock
from pamdi_ros.assignment import ANSWER_BYTES_PER_CLASS, partitions_of, Unit, units_of
from pamdi_ros.fleet import Fleet, Source
from pamdi_ros.models import Model, ModelError
from pamdi_ros.models.engines.text import TextModel, Vocabulary
from pamdi_ros.models.tasks.answers import confidence, read_answer
from pamdi_ros.nodes.conversions.answer_tensors import AnswerTensors, CannotCompute
from pamdi_ros.nodes.executor.emulation import Pace
from pamdi_ros.nodes.executor.synthetic_engine import has_sizes_only, size_outcome
from pamdi_ros.nodes.progress import ModelProgress
from pamdi_ros.nodes.sensors import BadInput, decode
from pamdi_ros.nodes.sensors.prepare import prepare
from pamdi_ros.nodes.sensors.preprocess import resizing
from pamdi_ros.nodes.wire import WireTensor
from pamdi_ros.nodes.wire.placeholder import is_placeholder
from pamdi_ros.nodes.wire.torch_tensors import from_wire
from pamdi_ros.worker import ComputeUnit, Partition, Plan, Task, UnitResult
import torch

if TYPE_CHECKING:
    from pamdi_ros.models.engines.partition import Unit as ModelUnit

Tensors = tuple[torch.Tensor, ...]

#: A text ends here: GPT-2's <|endoftext|>.
END_OF_TEXT = 50256
#: Runs of a unit that is loaded, to time it, and the time for which more are begun [s].
TRIES = 3
#: Whoever holds it loads and times a unit on this machine; and the longest wait for it [s].
TURN_FILE = Path(tempfile.gettempdir()) / 'pamdi_ros' / 'timing.lock'
TURN_PATIENCE_S = 10.0
MOST_TRYING_S = 0.1


class MemoryShort(Exception):  # noqa: N818 - it says what is the matter
    """There is too little memory; the text is the first line of what torch says."""


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Raise what says that memory is short as one error.

    :raises MemoryShort: torch has one of its own for CUDA, and none for a processor.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        line = str(error).partition('\n')[0]
        on_cuda = isinstance(error, torch.cuda.OutOfMemoryError)
        if not (on_cuda or isinstance(error, MemoryError) or "can't allocate memory" in line):
            raise
        raise MemoryShort(line) from None


def choose_device(wanted: str) -> torch.device:
    """Resolve a worker's device.

    :param wanted: ``auto`` (cuda if there, else cpu), ``cpu``, ``cuda`` or ``cuda:N``.
    :raises CannotCompute: cuda is asked for and not there.
    """
    if wanted == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    if wanted.startswith('cuda') and not torch.cuda.is_available():
        raise CannotCompute(
            f'no_device: the fleet file asks for device {wanted}, but this torch '
            f'({torch.__version__}) sees no CUDA; use device: auto or cpu'
        )
    return torch.device(wanted)


class Engine:
    """Units of one worker and what is done with them.

    One thread computes; another one may load and free meanwhile what is not computed.

    :param fleet: the fleet.
    :param worker: name of the worker.
    :ivar opening: the model that is opened now.
    :raises CannotCompute: the worker's device is not there.
    """

    def __init__(self, fleet: Fleet, worker: str) -> None:
        self._fleet = fleet
        self._worker = fleet.workers[worker]
        self._pace = Pace(self._worker)
        self.device = choose_device(self._worker.device)
        self.opening = ModelProgress()
        self._models: dict[str, Model] = {}
        self._making = threading.Lock()
        self._texts: dict[str, TextModel] = {}
        self._vocabulary: Vocabulary | None = None
        self._labels: dict[str, tuple[str, ...]] = {}
        self._units: dict[Unit, ModelUnit] = {}
        self._unit_counts: dict[str, int] = {}

    @property
    def prepares(self) -> bool:
        """Whether items are to come as sensor messages."""
        return True

    @property
    def threads(self) -> int:
        """Threads that torch uses for one operation, where nobody says otherwise."""
        return int(torch.get_num_threads())

    def use_threads(self, threads: int) -> None:
        """Set how many threads torch uses for one operation in the calling thread.

        :param threads: 0: torch's own choice.
        """
        if threads:
            torch.set_num_threads(threads)

    # --- loading --------------------------------------------------------------------------------

    @property
    def held(self) -> tuple[Partition, ...]:
        """Units loaded now, in ranges."""
        return partitions_of(tuple(self._units))

    @property
    def memory_bytes(self) -> int:
        """Bytes of weights held, those that units share once [byte]."""
        held = (tensor for unit in tuple(self._units.values()) for tensor in unit.tensors)
        return sum({tensor.data_ptr(): tensor.nbytes for tensor in held}.values())

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
            if model.request.tokens is None:
                resizing()
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
        with self._alone() if timed else contextlib.nullcontext():
            loaded = seconds = None
            with contextlib.suppress(MemoryShort), memory_errors():
                loaded, seconds = self._load(model, unit, timed)
            if loaded is None:
                free_memory(self.device)
                loaded, seconds = self._load(model, unit, timed)
        self._units[name, unit] = loaded
        if not timed or seconds is None:
            return None
        return self._pace.unit_s(model.table.units[unit].flops, seconds)

    def _load(self, model: Model, unit: int, timed: bool) -> tuple[ModelUnit, float]:
        """Load a unit and run it; :meth:`load` says how."""
        loaded = model.load_unit(unit, device=self.device)
        return loaded, self._try(loaded, TRIES if timed else 0)

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

    def _try(self, unit: ModelUnit, tries: int) -> float:
        """Run a unit on zeros, once and then some times more, and return the least time [s]."""
        # On a processor the time of this thread alone counts: while a fleet starts, others of this
        # machine take turns with it, and what they take is not the unit's.
        on_cpu = unit.device.type == 'cpu'
        clock = time.thread_time if on_cpu else time.perf_counter
        tensors = tuple(map(unit.place, zeros_of(unit.input_signature)))
        taken: list[float] = []
        for _ in range(1 + tries):  # the first one is the slow one
            began_s = clock()
            unit(*tensors)
            if unit.device.type == 'cuda':
                torch.cuda.synchronize(unit.device)
            taken.append(clock() - began_s)
            if sum(taken) > MOST_TRYING_S:
                break
        return min(taken[1:] or taken)

    def free(self, partitions: Iterable[Partition]) -> None:
        """Let go of units."""
        for unit in units_of(partitions):
            self._units.pop(unit, None)

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
        """Do a Work: prepare a raw item, or run one unit and answer where the model ends.

        What memory can be freed is freed, and the work tried once more, where there is too little.

        :raises CannotCompute: with the reason that the item's result will carry.
        """
        self._pace.begin()
        try:
            with contextlib.suppress(MemoryShort), memory_errors():
                return self._done(work)
            # Here, where the error's frames hold nothing of the first try any more.
            free_memory(self.device)
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
        """Run a unit on zeros, as it would run for an item."""
        held = self._held(work.task.model, work.first)
        with torch.inference_mode():
            outputs = held(*map(held.place, zeros_of(held.input_signature)))
            if held.device.type == 'cuda':
                torch.cuda.synchronize(held.device)
        del outputs
        return UnitResult(None, compute_s=self._pace.end())

    def _prepared(self, work: ComputeUnit) -> UnitResult:
        """Turn a sensor message into the tensors that enter the model."""
        source = self._fleet.sources[work.task.key.source]
        message = decode(source.type, work.execution.payload)  # type: ignore[arg-type]
        model = self._model(source.model)
        ((shape, _), *_) = model.signature(0)  # (batch, channels, height, width)
        prepared = prepare(source, None if model.request.tokens else shape[1:], message)
        tokens: tuple[int, ...] = ()
        if isinstance(prepared, str):
            text = self._text(source.model)
            if self._vocabulary is None:  # learn() could not make it: say why once more
                self._vocabulary = Vocabulary()
            tokens = tuple(self._vocabulary.encode(prepared))
            tensors = text.inputs(tokens)
        else:
            tensors = prepared
        return UnitResult(
            payload=tensors,
            payload_bytes=_size(tensors),
            compute_s=self._pace.end(),
            tokens=tokens,
        )

    def _computed(self, work: ComputeUnit) -> UnitResult:
        """Run one unit; what enters it stays on the device as long as the stay lasts."""
        name, unit, execution = work.task.model, work.first, work.execution
        held = self._held(name, unit)
        tensors = received_tensors(execution.payload)
        text = self._text(name) if execution.tokens else None
        if not execution.started:
            signature = self._model(name).signature(unit)
            check_signature(signature, tensors, name, unit, narrow=text is not None)
        with torch.inference_mode():
            tensors = tuple(map(held.place, tensors))
            if text is not None:
                tensors = text.narrow(unit, tensors, len(execution.tokens))
            tensors = held(*tensors)
        outcome = self._outcome(work, tensors)
        if work.exit is not None:
            self._ask_exit(work, held, tensors, outcome)
        flops = self._model(name).table.units[unit].flops
        outcome.compute_s = self._pace.end_unit(flops, first=not execution.started)
        return outcome

    def _ask_exit(
        self, work: ComputeUnit, unit: ModelUnit, tensors: Tensors, outcome: UnitResult
    ) -> None:
        """Have the exit after a unit answer, too, where it is confident enough.

        :param tensors: as the unit gives them.
        """
        assert work.exit is not None
        if unit.head is None:
            return
        with torch.inference_mode():
            logits = unit.head(*tensors).cpu()
        if confidence(logits) >= work.exit.threshold:
            answer = self._answer(work.task, (logits,))
            outcome.confident, outcome.early = True, answer
            outcome.early_bytes = _size(answer.tensors)

    def _passed_on(self, work: ComputeUnit) -> UnitResult:
        """Run one unit on nothing: a worker before this one leaves the arithmetic out."""
        model = self._model(work.task.model)
        held = self._held(work.task.model, work.first)
        with torch.inference_mode():
            held(*map(held.place, zeros_of(held.input_signature)))
        unit = model.table.units[work.first]
        compute_s = self._pace.end_unit(unit.flops, first=not work.execution.started)
        sizes = [model.table.boundary_bytes(unit) for unit in range(model.unit_count)]
        top_k = self._fleet.sources[work.task.key.source].top_k
        return size_outcome(work, [*sizes, ANSWER_BYTES_PER_CLASS * top_k], compute_s)

    def _held(self, model: str, unit: int) -> ModelUnit:
        held = self._units.get((model, unit))
        if held is None:
            raise CannotCompute(f'not_held: unit {unit} of {model} is not loaded here')
        return held

    def _outcome(self, work: ComputeUnit, tensors: Tensors) -> UnitResult:
        """Return what follows from a unit: tensors for the next one, the next pass, the answer."""
        task, tokens = work.task, work.execution.tokens
        payload: object = tensors
        next_pass = False
        if work.answers and tokens:
            text = self._text(task.model)
            token = text.next_token(tensors[0], len(tokens))
            tokens = (*tokens, token)
            next_pass = work.execution.passes_left > 1 and token != END_OF_TEXT
            payload = tensors = text.inputs(tokens) if next_pass else ()
        if work.answers and not next_pass:
            payload = self._answer(task, tensors)
            tensors = payload.tensors
        elif work.last == work.execution.last:  # what is kept for others is not kept on the device
            payload = tensors = tuple(tensor.cpu() for tensor in tensors)
        return UnitResult(
            payload=payload, payload_bytes=_size(tensors), tokens=tokens, next_pass=next_pass
        )

    def _answer(self, task: Task, outputs: Tensors) -> AnswerTensors:
        source = self._fleet.sources[task.key.source]
        answer = read_answer(outputs, source.top_k) if outputs else None
        return AnswerTensors(
            class_ids=torch.tensor(answer.class_ids if answer else (), dtype=torch.int32),
            scores=torch.tensor(answer.scores if answer else (), dtype=torch.float32),
            outputs=outputs if source.publish_outputs else (),
        )

    def _model(self, name: str) -> Model:
        model = self._models.get(name)
        if model is None:
            with self._making:  # the thread that loads and the one that computes may want it
                model = self._models.get(name)
                if model is None:
                    self.opening.begin(name, time.monotonic())
                    try:
                        model = Model.from_spec(self._fleet.models[name].as_mapping())
                    finally:
                        self.opening.end(time.monotonic())
                    self._models[name] = model
        return model

    def _text(self, name: str) -> TextModel:
        if name not in self._texts:
            self._texts[name] = TextModel(self._model(name))
        return self._texts[name]


def free_memory(device: torch.device) -> None:
    """Free what memory can be freed: what nobody refers to, and what torch keeps for later."""
    gc.collect()
    if device.type == 'cuda':
        torch.cuda.empty_cache()


def zeros_of(signature: Sequence[tuple[tuple[int, ...], str]]) -> Tensors:
    """Return tensors of a signature, all zero."""
    return tuple(torch.zeros(shape, dtype=getattr(torch, dtype)) for shape, dtype in signature)


def _size(tensors: Tensors) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def received_tensors(payload: object) -> Tensors:
    """Return a task's tensors, whether they were computed here or came over the wire."""
    assert isinstance(payload, tuple)
    return tuple(
        from_wire(tensor) if isinstance(tensor, WireTensor) else tensor for tensor in payload
    )


def check_signature(
    wanted: Sequence[tuple[tuple[int, ...], str]],
    tensors: Tensors,
    model: str,
    unit: int,
    narrow: bool,
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
