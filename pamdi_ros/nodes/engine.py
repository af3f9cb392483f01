# SPDX-License-Identifier: Apache-2.0
"""The compute half of an executor: holds partitions, prepares items, runs units, answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
import logging
import time
from typing import TYPE_CHECKING

from pamdi_ros.fleet import Fleet, Source
from pamdi_ros.models import Model, ModelError
from pamdi_ros.models.answers import read_answer
from pamdi_ros.models.text import TextModel, Vocabulary
from pamdi_ros.nodes.emulation import Pace, SizesOnly
from pamdi_ros.nodes.sensors import BadInput, decode, prepare
from pamdi_ros.nodes.wire import from_wire, WireTensor
from pamdi_ros.worker import Outcome, Task, Work
from pamdi_ros.worker import Partition as Range
import torch

if TYPE_CHECKING:
    from pamdi_ros.models.partition import Partition

Tensors = tuple[torch.Tensor, ...]

#: A text ends here: GPT-2's <|endoftext|>.
END_OF_TEXT = 50256


@dataclass(frozen=True, slots=True, eq=False)
class AnswerTensors:
    """An answer as it travels home.

    :param class_ids: int32, best first; empty where the outputs name no classes.
    :param scores: float32, one for each.
    :param outputs: the model's raw outputs; empty unless the source publishes them.
    """

    class_ids: torch.Tensor
    scores: torch.Tensor
    outputs: Tensors = ()

    @property
    def tensors(self) -> Tensors:
        """Give them as one tuple, in wire order."""
        return (self.class_ids, self.scores, *self.outputs)


class CannotCompute(Exception):  # noqa: N818 - it says what cannot be done
    """An item that cannot be computed; the text is 'word: explanation'."""


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
    """Partitions of one worker and what is done with them. Used by one thread at a time.

    :param fleet: the fleet.
    :param worker: name of the worker.
    :raises CannotCompute: the worker's device is not there.
    """

    def __init__(self, fleet: Fleet, worker: str) -> None:
        self._fleet = fleet
        self._worker = fleet.workers[worker]
        self._pace = Pace(self._worker)
        self.device = choose_device(self._worker.device)
        self._models: dict[str, Model] = {}
        self._texts: dict[str, TextModel] = {}
        self._vocabulary: Vocabulary | None = None
        self._labels: dict[str, tuple[str, ...]] = {}
        self._partitions: dict[Range, Partition | SizesOnly] = {}

    # --- loading --------------------------------------------------------------------------------

    @property
    def held(self) -> tuple[Range, ...]:
        """Partitions loaded now."""
        return tuple(self._partitions)

    @property
    def memory_bytes(self) -> int:
        """Bytes of weights held [byte]."""
        return sum(partition.weight_bytes for partition in self._partitions.values())

    def learn(self, sources: Iterable[Source]) -> None:
        """Learn the models of the sources whose home is here: input shape, labels, tokens.

        Their graphs are traced here, so that the first item is not the slow one.

        :raises ModelError: a model cannot be built, or its labels do not fit.
        """
        for source in sources:
            model = self._model(source.model)
            if model.request.tokens is not None and self._vocabulary is None:
                self._vocabulary = Vocabulary()
            self._labels[source.model] = model.labels()

    def load(self, wanted: Range) -> Partition | SizesOnly:
        """Load one partition and run it once, so that its first task is not the slow one.

        :returns: the partition, for :meth:`hold`.
        :raises ModelError: it cannot be loaded.
        """
        if wanted in self._partitions:
            return self._partitions[wanted]
        model = self._model(wanted.model)
        if self._worker.compute == 'none':
            return SizesOnly(model, wanted.first, wanted.last)
        partition = model.partition(wanted.first, wanted.last, device=self.device)
        zeros = tuple(
            torch.zeros(shape, dtype=getattr(torch, dtype))
            for shape, dtype in partition.input_signature
        )
        partition(*zeros)
        return partition

    def hold(self, partitions: dict[Range, Partition | SizesOnly]) -> None:
        """Replace the partitions held."""
        self._partitions = dict(partitions)

    def labels(self, model: str) -> tuple[str, ...]:
        """Names of a learnt model's classes; () where they are not known."""
        return self._labels.get(model, ())

    def text(self, tokens: Sequence[int]) -> str:
        """Text of token ids."""
        if self._vocabulary is None:
            self._vocabulary = Vocabulary()
        return self._vocabulary.decode(tokens)

    # --- running --------------------------------------------------------------------------------

    def run(self, work: Work) -> Outcome:
        """Do a Work: prepare a raw item, run its units, answer where the model ends.

        :raises CannotCompute: with the reason that the item's result will carry.
        """
        started = time.perf_counter()
        task = work.task
        try:
            tokens = task.tokens
            if task.raw:
                tensors, tokens = self._prepare(task)
            else:
                tensors = received_tensors(task.payload)
            if work.last > work.first:
                tensors = self._run_units(work, tensors, tokens)
            return self._outcome(work, tensors, tokens, started)
        except BadInput as error:
            raise CannotCompute(f'{error.reason}: {error}') from error
        except ModelError as error:
            raise CannotCompute(f'bad_tensor: {error}') from error
        except CannotCompute:
            raise
        except Exception as error:  # a model's own failure must cost one item, not the node
            logging.getLogger(__name__).exception('task %s failed', task.key)
            raise CannotCompute(f'compute_error: {type(error).__name__}: {error}') from error

    def _prepare(self, task: Task) -> tuple[Tensors, tuple[int, ...]]:
        source = self._fleet.sources[task.key.source]
        message = decode(source.type, task.payload)  # type: ignore[arg-type]
        model = self._model(source.model)
        ((shape, _), *_) = model.signature(0)  # (batch, channels, height, width)
        prepared = prepare(source, None if model.request.tokens else shape[1:], message)
        if not isinstance(prepared, str):
            return prepared, ()
        text = self._text(source.model)
        if self._vocabulary is None:  # learn() could not make it: say why once more
            self._vocabulary = Vocabulary()
        tokens = tuple(self._vocabulary.encode(prepared))
        return text.inputs(tokens), tokens

    def _run_units(self, work: Work, tensors: Tensors, tokens: tuple[int, ...]) -> Tensors:
        name = work.task.model
        partition, first = self._covering(name, work.first, work.last)
        text = self._text(name) if tokens else None
        signature = self._model(name).signature(work.first)
        check_signature(signature, tensors, name, work.first, narrow=text is not None)
        with torch.inference_mode():
            tensors = tuple(map(partition.place, tensors))
            self._pace.begin_stay()
            for unit in range(work.first, work.last):
                if text is not None:
                    tensors = text.narrow(unit, tensors, len(tokens))
                tensors = partition.units[unit - first](*tensors)
                self._pace.end_unit(self._model(name).table.units[unit].flops)
        return tensors

    def _covering(self, model: str, first: int, last: int) -> tuple[Partition | SizesOnly, int]:
        for held, partition in self._partitions.items():
            if held.covers(model, first, last):
                return partition, held.first
        raise CannotCompute(f'not_held: units [{first}, {last}) of {model} are not loaded here')

    def _outcome(
        self, work: Work, tensors: Tensors, tokens: tuple[int, ...], started: float
    ) -> Outcome:
        task = work.task
        payload: object = tensors
        next_pass = False
        if work.answers and tokens:
            text = self._text(task.model)
            token = text.next_token(tensors[0], len(tokens))
            tokens = (*tokens, token)
            next_pass = task.passes_left > 1 and token != END_OF_TEXT
            payload = tensors = text.inputs(tokens) if next_pass else ()
        if work.answers and not next_pass:
            payload = self._answer(task, tensors)
            tensors = payload.tensors
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return Outcome(
            payload=payload,
            payload_bytes=size,
            compute_s=time.perf_counter() - started,
            tokens=tokens,
            next_pass=next_pass,
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
        if name not in self._models:
            self._models[name] = Model.from_spec(self._fleet.models[name].as_mapping())
        return self._models[name]

    def _text(self, name: str) -> TextModel:
        if name not in self._texts:
            self._texts[name] = TextModel(self._model(name))
        return self._texts[name]


def received_tensors(payload: object) -> Tensors:
    """Give a task's tensors, whether they were computed here or came over the wire."""
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
