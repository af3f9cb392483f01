# SPDX-License-Identifier: Apache-2.0
"""Does the kernel grant the buffers that large messages over UDP need?"""

from __future__ import annotations

from collections.abc import Iterator

from pamdi_ros.doctor.finding import fail, Finding, ok, warn
from pamdi_ros.doctor.host_facts import KernelFacts

#: What our Fast DDS profile asks for; a tenth less for those who count in powers of ten [B].
WANTED_BUFFER = 4_000_000
#: Below it not even one large message's pieces fit, and fragments are lost [B].
LEAST_BUFFER = 1_000_000
#: The kernel's default of 30 s lets the remains of lost datagrams fill the memory for them [s].
WANTED_IPFRAG_S = 3
#: A second's worth of half-lost datagrams on a busy link [B].
WANTED_IPFRAG_BYTES = 16_000_000
#: A few datagrams of 64 KB: below it hardly any is ever put together [B].
LEAST_IPFRAG_BYTES = 1_000_000

SETTING = 'sudo sysctl -w {}   (to keep it: a file in /etc/sysctl.d)'


def check_kernel(kernel: KernelFacts, spans_hosts: bool) -> Iterator[Finding]:
    """Judge the kernel's limits.

    :param spans_hosts: messages go to other hosts; on one host they go through shared memory, and
        small buffers are no more than a warning.
    """
    yield _buffers(kernel, spans_hosts)
    yield _fragments(kernel, spans_hosts)


def _buffers(kernel: KernelFacts, spans_hosts: bool) -> Finding:
    check = 'kernel buffers'
    if kernel.rmem_max is None or kernel.wmem_max is None:
        return warn(
            check,
            'net.core.rmem_max and wmem_max cannot be read here (a container?)',
            'look at them on the host: sysctl net.core.rmem_max net.core.wmem_max',
        )
    told = (
        f'net.core.rmem_max {kernel.rmem_max / 1e6:.1f} MB, '
        f'wmem_max {kernel.wmem_max / 1e6:.1f} MB'
    )
    smaller = min(kernel.rmem_max, kernel.wmem_max)
    if smaller >= WANTED_BUFFER:
        return ok(check, told)
    remedy = SETTING.format('net.core.rmem_max=4194304 net.core.wmem_max=4194304')
    if smaller < LEAST_BUFFER and spans_hosts:
        return fail(check, f'{told}: large messages to other hosts lose fragments', remedy)
    return warn(check, f'{told}; large messages over UDP want 4.2 MB', remedy)


def _fragments(kernel: KernelFacts, spans_hosts: bool) -> Finding:
    check = 'IP fragments'
    if kernel.ipfrag_time_s is None or kernel.ipfrag_high_thresh is None:
        return warn(
            check,
            'net.ipv4.ipfrag_time and ipfrag_high_thresh cannot be read here (a container?)',
            'look at them on the host: sysctl net.ipv4.ipfrag_time net.ipv4.ipfrag_high_thresh',
        )
    told = (
        f'net.ipv4.ipfrag_time {kernel.ipfrag_time_s} s, '
        f'ipfrag_high_thresh {kernel.ipfrag_high_thresh / 1e6:.1f} MB'
    )
    remedy = SETTING.format('net.ipv4.ipfrag_time=3 net.ipv4.ipfrag_high_thresh=134217728')
    if kernel.ipfrag_high_thresh < LEAST_IPFRAG_BYTES and spans_hosts:
        return fail(check, f'{told}: datagrams above one packet hardly ever arrive', remedy)
    if kernel.ipfrag_time_s > WANTED_IPFRAG_S or kernel.ipfrag_high_thresh < WANTED_IPFRAG_BYTES:
        return warn(
            check, f'{told}: on a lossy link, remains of lost datagrams block later ones', remedy
        )
    return ok(check, told)
