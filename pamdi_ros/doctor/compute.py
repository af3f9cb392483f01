# SPDX-License-Identifier: Apache-2.0
"""What can compute here, and is it allowed to run at full speed?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pamdi_ros.doctor.finding import fail, Finding, ok, warn
from pamdi_ros.doctor.host_facts import BoardFacts, TorchFacts
from pamdi_ros.fleet import Worker

#: Boards throttle from about 95 deg C on; a margin before it.
WARM_C = 85.0
HOT_C = 95.0
#: Power modes of a Jetson that limit nothing.
FULL_POWER = ('MAXN', 'MAXN_SUPER')


def check_compute(
    torch: TorchFacts,
    board: BoardFacts,
    workers: Iterable[Worker],
    onnxruntime: str | None = None,
) -> Iterator[Finding]:
    """Judge torch, its GPUs and the board.

    :param workers: that run on this machine, or will.
    :param onnxruntime: version of ONNX Runtime, which may compute in its place; None: it is not
        there.
    """
    chosen = [worker for worker in workers if worker.compute == 'real']
    yield _torch(torch, board, chosen, onnxruntime)
    yield from _board(board)
    yield _temperature(board)


def _torch(
    torch: TorchFacts, board: BoardFacts, workers: list[Worker], onnxruntime: str | None
) -> Finding:
    check = 'torch'
    wanting = [worker.name for worker in workers if worker.device.startswith('cuda')]
    if torch.problem:
        told = f'{torch.version or "torch"} does not start: {torch.problem}'
        remedy = 'install a torch that was built for this machine and Python'
        return fail(check, told, remedy) if workers else warn(check, told, remedy)
    if not torch.version and onnxruntime and all(w.engine != 'torch' for w in workers):
        return ok(check, f'not installed; ONNX Runtime {onnxruntime} runs models of a bundle')
    if not torch.version:
        told = 'not installed'
        remedy = "pip install torch torchvision (on a Jetson NVIDIA's own)"
        return fail(check, told, remedy) if workers else warn(check, told, remedy)
    built = f'built for CUDA {torch.cuda_version}' if torch.cuda_version else 'built for CPU only'
    if torch.devices:
        return _gpus(torch, built, workers)
    told = f'{torch.version}, {built}, no GPU usable'
    if wanting:
        return fail(
            check,
            f'{told}; {", ".join(wanting)} asks for one',
            "a torch built for this GPU's driver (nvidia-smi), or device: cpu in fleet.yaml",
        )
    if board.jetson:
        return warn(
            check,
            f"{told}: this Jetson's GPU lies idle",
            "install NVIDIA's torch for this JetPack; pip's own has no CUDA for a Jetson",
        )
    return ok(check, told)


def _gpus(torch: TorchFacts, built: str, workers: list[Worker]) -> Finding:
    told = f'{torch.version}, {built}, {", ".join(torch.devices)}'
    beyond = [
        worker.name
        for worker in workers
        if ':' in worker.device and int(worker.device.partition(':')[2]) >= len(torch.devices)
    ]
    if beyond:
        return fail(
            'torch',
            f'{told}; {", ".join(beyond)} asks for one that is not there',
            f'device: cuda:0 to cuda:{len(torch.devices) - 1} in fleet.yaml',
        )
    return ok('torch', told)


def _board(board: BoardFacts) -> Iterator[Finding]:
    check = 'power mode'
    if not board.jetson:
        yield ok(check, 'not a Jetson: no power mode to set')
        return
    if not board.power_mode:
        yield warn(
            check,
            f'{board.jetson}: nvpmodel tells nothing',
            'sudo nvpmodel -q, and sudo nvpmodel -m 0 where it is not MAXN',
        )
    elif board.power_mode.upper() in FULL_POWER:
        yield ok(check, f'{board.jetson}: {board.power_mode}')
    else:
        yield warn(
            check,
            f'{board.jetson}: {board.power_mode} limits clocks and cores',
            'sudo nvpmodel -m 0 (MAXN), or profile the worker in the mode it will run in',
        )
    if board.clocks_locked is False:
        yield warn(
            'clocks',
            'they follow the load: the first units after a pause are slow',
            'sudo jetson_clocks',
        )
    elif board.clocks_locked:
        yield ok('clocks', 'at their highest (jetson_clocks)')


def _temperature(board: BoardFacts) -> Finding:
    check = 'temperature'
    if board.hottest_c is None:
        return ok(check, 'not told by this machine')
    told = f'{board.hottest_c:.0f} °C at the hottest part'
    remedy = 'cool it (fan, dust, sudo jetson_clocks --fan), or choose a lower power mode'
    if board.hottest_c >= HOT_C:
        return fail(check, f'{told}: it throttles', remedy)
    if board.hottest_c >= WARM_C:
        return warn(check, f'{told}: close to throttling', remedy)
    return ok(check, told)
