# SPDX-License-Identifier: Apache-2.0
"""The frozen description of a fleet: what fleet.yaml says, in seconds and bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
import math

from pamdi_ros.fleet.frozen import FrozenDict, thaw

IMAGE_TYPE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE_TYPE = 'sensor_msgs/msg/CompressedImage'
CLOUD_TYPE = 'sensor_msgs/msg/PointCloud2'
TEXT_TYPE = 'std_msgs/msg/String'

#: Speed assumed for a worker that declares none: 5 ms per GFLOP [s/FLOP]. Only the ratio between
#: workers matters for a placement, so equal machines need no figure at all.
ASSUMED_SECONDS_PER_FLOP = 5e-12

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

#: Memory that ONNX Runtime holds for weights, as a multiple of them: it copies them into a layout
#: of its own, and each session takes some. Measured: 1.03 to 1.14, most with many small sessions.
COPIED_WEIGHTS = 1.15

#: An engine that is chosen by what is installed.
AUTO = 'auto'
ENGINES = (AUTO, 'torch', 'onnxruntime')


@dataclass(frozen=True, kw_only=True, slots=True)
class Qos:
    """Quality of service of a priority class's items.

    :param reliability: ``reliable`` or ``best_effort``
    :param depth: items of the class that may wait in a worker's queue
    :param deadline_s: latency an item should keep [s]; None: no deadline
    :param lifespan_s: age at which an item is dropped [s]; None: the default lifespan
    """

    reliability: str = 'reliable'
    depth: int = 4
    deadline_s: float | None = None
    lifespan_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PriorityClass:
    """An ordered class of urgency.

    :param weight: what one second of delay of an item of this class costs (γ)
    :param rank: position in the file; 0 is the most urgent
    """

    name: str
    weight: float
    rank: int
    qos: Qos = field(default_factory=Qos)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exit:
    """An early exit of a model.

    :param unit: units that have run when the exit is taken: units [0, unit)
    :param accuracy: measured accuracy when this exit answers, in [0, 1]
    :param head: factory of the exit's classifier, ``module:function``; None: a ready one
    :param threshold: confidence from which the exit may answer, in [0, 1]; None: always
    """

    unit: int
    accuracy: float
    head: str | None = None
    threshold: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """What is needed to build a model; exactly one of zoo and factory is set.

    :param input_shape: (channels, height, width) of the input; None for text or the zoo's default
    :param tokens: positions of one pass of a text model; None for image models
    :param max_new_tokens: chained passes of one text item
    :param weights: weights file, torchvision weights name, or ``seed:N``
    :param labels: file with one label a line, or ``builtin``
    :param accuracy: measured accuracy of the whole model, in [0, 1]
    :param arguments: keyword arguments of the model's constructor
    :param engine: ``auto``, ``torch`` or ``onnxruntime``; see :meth:`Fleet.engine_of`
    :param providers: of ONNX Runtime, in the order asked for; empty: the worker's
    :param bundle: directory of the bundle that holds it; None: it is built where it is used
    :param unit_flops: largest wanted size of a unit, so that none takes longer than the policy's
        quantum_s on the slowest worker [FLOP]; None: no worker declares its speed
    """

    name: str
    zoo: str | None = None
    factory: str | None = None
    input_shape: tuple[int, ...] | None = None
    tokens: int | None = None
    max_new_tokens: int = 1
    weights: str = 'seed:0'
    labels: str | None = None
    exits: tuple[Exit, ...] = ()
    accuracy: float | None = None
    arguments: Mapping[str, object] = FrozenDict()
    engine: str = AUTO
    providers: tuple[str, ...] = ()
    bundle: str | None = None
    unit_flops: int | None = None

    def as_mapping(self) -> dict[str, object]:
        """Plain mapping that ``Model.from_spec`` takes; only the keys that are set.

        :returns: lists, dicts, strings and numbers only, as the fleet file would have them
        """
        mapping: dict[str, object] = {}
        for key in ('zoo', 'factory', 'tokens', 'labels', 'accuracy', 'bundle'):
            if (value := getattr(self, key)) is not None:
                mapping[key] = value
        if self.input_shape is not None:
            mapping['input_shape'] = list(self.input_shape)
        mapping['weights'] = self.weights
        if self.tokens is not None:
            mapping['max_new_tokens'] = self.max_new_tokens
        if self.exits:
            mapping['exits'] = [
                {
                    key: value
                    for key in ('unit', 'accuracy', 'head', 'threshold')
                    if (value := getattr(exit_, key)) is not None
                }
                for exit_ in self.exits
            ]
        if self.arguments:
            mapping['arguments'] = thaw(self.arguments)
        if self.unit_flops is not None:
            mapping['unit_flops'] = self.unit_flops
        return mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """One compute device of the fleet.

    :param device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``
    :param memory_bytes: bound on the weights held plus the largest activations; None: unbounded
    :param seconds_per_flop: speed for planning and emulation [s]; None: profiled
    :param overhead_s: charged once per stay of a task at this worker [s]
    :param emulate: pace units to seconds_per_flop
    :param compute: ``real``, or ``none`` to skip the arithmetic (sizes real, results empty)
    :param engine: ``auto``, ``torch`` or ``onnxruntime``; see :meth:`Fleet.engine_of`
    :param providers: of ONNX Runtime, in the order asked for; empty: what fits the device
    :param threads: of one operation; 0: the engine's own choice
    """

    name: str
    device: str = 'auto'
    memory_bytes: int | None = None
    seconds_per_flop: float | None = None
    overhead_s: float = 0.0
    emulate: bool = False
    compute: str = 'real'
    engine: str = AUTO
    providers: tuple[str, ...] = ()
    threads: int = 0

    @property
    def planned_bytes(self) -> int | None:
        """Weights and activations that it may be given to hold [byte]; None: unbounded.

        Less than its memory where the engine holds more for a weight than the file has.
        """
        if self.memory_bytes is None or self.engine != 'onnxruntime':
            return self.memory_bytes
        return round(self.memory_bytes / COPIED_WEIGHTS)

    @property
    def expected_seconds_per_flop(self) -> float:
        """Speed to plan with before anything is measured [s/FLOP], declared or assumed."""
        return self.seconds_per_flop or ASSUMED_SECONDS_PER_FLOP


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineChoice:
    """What is to run a model at a worker.

    :param engine: ``auto``, ``torch`` or ``onnxruntime``
    :param providers: of ONNX Runtime, in the order asked for; empty: what fits the device
    """

    engine: str
    providers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A network link, the same in both directions.

    :param bandwidth_bytes_per_s: [B/s]
    :param latency_s: one way [s]
    """

    bandwidth_bytes_per_s: float
    latency_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """Which workers reach each other, and how fast.

    :param default: the link of every pair that is not named; None: those pairs have no link
    :param shared: all links are one half-duplex medium, as Wi-Fi is
    :param pairs: links of named pairs, by the set of the two workers
    """

    default: Link | None = None
    shared: bool = False
    pairs: Mapping[frozenset[str], Link] = FrozenDict()

    def __post_init__(self) -> None:
        object.__setattr__(self, 'pairs', FrozenDict(self.pairs))

    def between(self, a: str, b: str) -> Link | None:
        """Link of workers a and b; None where there is none. a == b is the caller's concern."""
        return self.pairs.get(frozenset((a, b)), self.default)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocess:
    """How a frame becomes the model's input.

    :param mode: ``resize`` straight to the input's size, or ``crop``: resize, then centre crop
    :param resize: shorter side before the crop [pixel]; None: the input's size × 256 / 224
    :param mean: subtracted after scaling to [0, 1], one per channel
    :param std: divisor after that, one per channel
    """

    mode: str = 'resize'
    resize: int | None = None
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


@dataclass(frozen=True, kw_only=True, slots=True)
class RangeImage:
    """Spherical projection of clouds that come without rows.

    :param rows: height of the range image [pixel]
    :param columns: width, 360 degrees [pixel]
    :param fov_up_rad: elevation of the top row [rad]
    :param fov_down_rad: elevation of the bottom row [rad], negative below the horizon
    """

    rows: int = 64
    columns: int = 1024
    fov_up_rad: float = math.radians(15.0)
    fov_down_rad: float = math.radians(-25.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A topic that yields items at one worker, its home.

    :param type: message type, such as ``sensor_msgs/msg/Image``
    :param priority: name of the priority class it starts in
    :param rate_hz: declared rate [1/s]; None: measured, or given by load_share
    :param load_share: part of the remaining load it takes where a load is given
    :param arrival: ``periodic``, ``poisson`` or ``bursty`` (simulation and demo)
    :param deadline_s: the source's own, else its class's [s]; None: no deadline
    :param lifespan_s: the source's own, else its class's, else 10 s [s]
    :param publish_outputs: results carry the output tensors
    :param top_k: classes in a result
    :param range_image: set for point clouds only
    """

    name: str
    worker: str
    topic: str
    type: str
    model: str
    priority: str
    rate_hz: float | None = None
    load_share: float | None = None
    arrival: str = 'periodic'
    deadline_s: float | None = None
    lifespan_s: float = 10.0
    publish_outputs: bool = False
    top_k: int = 5
    preprocess: Preprocess = field(default_factory=Preprocess)
    range_image: RangeImage | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happens to a simulated fleet.

    :param at_s: time since the start [s]
    :param action: ``kill``, ``revive``, ``set_priority``, ``set_rate``, ``set_speed``,
        ``set_link``, ``replan``, ``slow_load``, ``fail_units``, ``hang_unit``, ``fail_load``,
        ``heal`` or ``clock_jump``
    :param worker: that dies, comes back, falls sick or is healed; for kill and revive also
        ``allocator``
    :param priorities: for set_priority: class by source
    :param rates_hz: for set_rate: rate by source [1/s]
    :param speeds: for set_speed: multiple of the speed it began with, by worker [1]
    :param between: for set_link: the two workers
    :param link: for set_link: the new link; None: cut
    :param replan: a plan is made and moved to, worth it or not
    :param slow_loads: for slow_load: loading weights takes so many times as long, by worker [1]
    :param clock_jumps: for clock_jump: how far its clock is off after its next restart [s]
    """

    at_s: float
    action: str
    worker: str | None = None
    priorities: Mapping[str, str] = FrozenDict()
    rates_hz: Mapping[str, float] = FrozenDict()
    speeds: Mapping[str, float] = FrozenDict()
    between: frozenset[str] | None = None
    link: Link | None = None
    replan: bool = False
    slow_loads: Mapping[str, float] = FrozenDict()
    clock_jumps: Mapping[str, float] = FrozenDict()


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """Everything that fleet.yaml says.

    :param name: the fleet's namespace
    :param accuracy_gain: weighted seconds that one full unit of accuracy is worth (α) [s]
    :param policy: scheduling policy, such as ``pa_mdi_plus``
    :param policy_parameters: the policy's own constants, by name
    :param priority_classes: most urgent first
    """

    name: str
    accuracy_gain: float = 1.0
    policy: str = 'pa_mdi_plus'
    policy_parameters: Mapping[str, object] = FrozenDict()
    priority_classes: tuple[PriorityClass, ...]
    models: Mapping[str, ModelSpec]
    workers: Mapping[str, Worker]
    links: Links = field(default_factory=Links)
    sources: Mapping[str, Source]
    events: tuple[Event, ...] = ()

    def priority_class(self, name: str) -> PriorityClass:
        """Priority class of that name.

        :raises KeyError: the fleet has no such class
        """
        for priority_class in self.priority_classes:
            if priority_class.name == name:
                return priority_class
        raise KeyError(name)

    def model_of(self, source_name: str) -> ModelSpec:
        """Model that a source's items go through.

        :raises KeyError: the fleet has no such source
        """
        return self.models[self.sources[source_name].model]

    def with_bundle(self, bundle: str) -> Fleet:
        """Return the fleet with all models from a bundle.

        :param bundle: its directory.
        """
        models = {name: replace(model, bundle=bundle) for name, model in self.models.items()}
        return replace(self, models=FrozenDict(models))

    def engine_of(self, worker: str, model: str) -> EngineChoice:
        """Return what is to run a model at a worker: the model's own choice, else the worker's.

        :raises KeyError: the fleet has no such worker or model
        """
        own, place = self.models[model], self.workers[worker]
        return EngineChoice(
            engine=place.engine if own.engine == AUTO else own.engine,
            providers=own.providers or place.providers,
        )

    def sources_at(self, worker: str) -> tuple[Source, ...]:
        """Return the sources whose home is that worker, in the file's order."""
        return tuple(source for source in self.sources.values() if source.worker == worker)
