# SPDX-License-Identifier: Apache-2.0
"""The measures of several runs as one plain mapping: what `pamdi simulate --json` writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from pamdi_ros.simulation.measures import Delays, RunMeasures, SourceMeasures

#: As JSON writes it.
Plain: TypeAlias = dict[str, Any]

#: The rule that others are compared with.
REFERENCE = 'ms_mdi'


def summary(runs: Sequence[RunMeasures]) -> Plain:
    """Return the numbers of one policy over the runs of all its seeds.

    Delays, rates and shares are means over the seeds (`max_ms` the largest); `spread` holds their
    standard deviations; counts, bytes, events and wall_s are sums. A source is stable where it is
    so in more than half of the runs (near its capacity a queue may grow for a while by chance), a
    policy where all its sources are.

    :param runs: at least one, of the same fleet.
    """
    first = runs[0]
    objective, bound = _mean(run.objective for run in runs), _mean(run.bound for run in runs)
    ratios = (run.objective / run.bound for run in runs if run.objective and run.bound)
    sources = {name: _source([run.sources[name] for run in runs]) for name in first.sources}
    return {
        'sources': sources,
        'workers': {
            name: {
                'utilisation': _mean(run.utilisation[name] for run in runs),
                'bytes_out': sum(run.bytes_out.get(name, 0) for run in runs),
                'frames_out': sum(run.frames_out.get(name, 0) for run in runs),
                'messages_out': sum(run.messages_out.get(name, 0) for run in runs),
            }
            for name in first.utilisation
        },
        'objective': objective,
        'bound': bound,
        'ratio': _mean(ratios),
        'jain': _mean(run.jain for run in runs),
        'stable': all(source['stable'] for source in sources.values()),
        'seeds': len(runs),
        'seconds': first.seconds,
        'bytes_per_s': sum(sum(run.bytes_out.values()) / run.seconds for run in runs) / len(runs),
        'events': sum(run.events for run in runs),
        'wall_s': _rounded(sum(run.wall_s for run in runs)),
        'cpu_s': _rounded(sum(run.cpu_s for run in runs)),
    }


def add_price(policies: Mapping[str, Plain], lowest: str) -> None:
    """Write beside each policy what the lowest class pays: its mean delay against others.

    `over_reference` compares with ms_mdi in the same runs, and is None where that was not run or
    either is not stable; `share_of_reference` compares the results.

    :param policies: summary by policy; each gets the key `lowest_class`.
    :param lowest: name of the least urgent class.
    """
    prices = {name: _price(policy, lowest) for name, policy in policies.items()}
    reference = prices.get(REFERENCE)
    for name, policy in policies.items():
        price = policy['lowest_class'] = dict(prices[name])
        price['over_reference'] = price['share_of_reference'] = None
        if reference and reference['results']:
            price['share_of_reference'] = _rounded(price['results'] / reference['results'])
            if price['stable'] and reference['stable'] and reference['mean_ms']:
                price['over_reference'] = _rounded(price['mean_ms'] / reference['mean_ms'])


def _price(policy: Plain, lowest: str) -> Plain:
    sources = [s for s in policy['sources'].values() if s['priority'] == lowest]
    answered = [source for source in sources if source['mean_ms'] is not None]
    results = sum(source['results'] for source in sources)
    total = sum(source['results'] for source in answered)
    return {
        'class': lowest,
        'mean_ms': _mean_by(answered, 'mean_ms', total),
        'over_solo': _mean_by([s for s in answered if s['inflation']], 'inflation', total),
        'results': results,
        'accepted': sum(source['accepted'] for source in sources),
        'stable': all(source['stable'] for source in sources),
    }


def _mean_by(sources: Sequence[Plain], key: str, total: int) -> float | None:
    """Mean over sources, each as often as it has results."""
    if not sources or not total:
        return None
    return _rounded(sum(source[key] * source['results'] for source in sources) / total)


def _source(seeds: Sequence[SourceMeasures]) -> Plain:
    readings: dict[str, Callable[[Delays], float]] = {
        'mean_ms': lambda delays: delays.mean_s,
        'p50_ms': lambda delays: delays.p50_s,
        'p95_ms': lambda delays: delays.p95_s,
        'p99_ms': lambda delays: delays.p99_s,
    }
    answered = [seed.delays for seed in seeds if seed.delays is not None]
    by_key = {key: [1e3 * read(delays) for delays in answered] for key, read in readings.items()}
    dropped: Counter[str] = Counter()
    for seed in seeds:
        dropped.update(seed.dropped)
    return {
        'priority': seeds[0].priority,
        'rate_hz': _mean(seed.rate_hz for seed in seeds),
        **{key: _mean(values) for key, values in by_key.items()},
        'max_ms': _rounded(max(1e3 * d.max_s for d in answered)) if answered else None,
        'solo_ms': _ms(seed.solo_s for seed in seeds),
        'bound_ms': _ms(seed.bound_s for seed in seeds),
        'inflation': _mean(seed.inflation for seed in seeds),
        'accepted': sum(seed.accepted for seed in seeds),
        'results': sum(seed.results for seed in seeds),
        'dropped': dict(sorted(dropped.items())),
        'stable': sum(seed.stable for seed in seeds) > len(seeds) / 2,
        'spread': {key: _spread(values) for key, values in by_key.items()},
        **_exits(seeds),
    }


def _exits(seeds: Sequence[SourceMeasures]) -> Plain:
    """Return what early exits did to a source: the share of its results, the declared accuracy.

    Nothing for a model without exits.
    """
    early = [seed.early for seed in seeds if seed.early is not None]
    results = sum(seed.results for seed in seeds)
    if not early:
        return {}
    return {
        'early_exits': _rounded(sum(early) / results) if results else None,
        'accuracy': _mean(seed.accuracy for seed in seeds),
    }


def _ms(values_s: Iterable[float | None]) -> float | None:
    return _mean(None if value is None else 1e3 * value for value in values_s)


def _mean(values: Iterable[float | None]) -> float | None:
    """Mean of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return _rounded(float(np.mean(known))) if known else None


def _spread(values: Sequence[float]) -> float | None:
    """Return the standard deviation over the seeds; None of fewer than two."""
    return _rounded(float(np.std(values, ddof=1))) if len(values) > 1 else None


def _rounded(value: float) -> float:
    return round(value, 4)
