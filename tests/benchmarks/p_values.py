"""How often do the tests from quantile summaries cry wolf, where both sides are of one
distribution?

Limit: 0.05, the level that is asked for. Each side is merged from 24 parts, as a day is from hours.

    PYTHONPATH=. python tests/benchmarks/p_values.py [PAIRS]

Figures of 2026-11-30, 400 pairs (100 of three million rows): see docs/statistics.md, "P-values of
many rows".
"""

import sys
from collections.abc import Callable

import numpy as np

from lakehouse.drift.two_samples import Sample, levene_test, mann_whitney_test
from lakehouse.profiling.moments import Moments
from lakehouse.profiling.sketches import merged_quantiles, quantile_sketch

RNG = np.random.default_rng(7)
SHAPES: dict[str, Callable[[int], np.ndarray]] = {
    "normal": lambda n: RNG.normal(350, 6, n),
    "exponential": lambda n: RNG.exponential(size=n),
    "lognormal": lambda n: RNG.lognormal(size=n),
}


def sample(values: np.ndarray) -> Sample:
    """What is known of the values, merged from 24 parts."""
    parts = [quantile_sketch(part) for part in np.array_split(values, 24)]
    return Sample.of(merged_quantiles(*parts), Moments.of(values))


def main(pairs: int) -> None:
    """Prints the share of pairs with a p-value below 0.05."""
    print("| rows a side | distribution | Mann-Whitney | Levene |\n|---|---|---|---|")
    for rows, times in ((3_000, pairs), (100_000, pairs), (3_000_000, pairs // 4)):
        for name, draw in SHAPES.items():
            found = []
            for _ in range(times):
                a, b = sample(draw(rows)), sample(draw(rows))
                spread = levene_test(a, b)
                assert spread is not None
                found.append((mann_whitney_test(a, b)["pvalue"] < 0.05, spread["pvalue"] < 0.05))
            shifted, wider = np.mean(found, axis=0)
            print(
                f"| {rows:,} | {name} | {shifted:.3f} | {wider:.3f} |".replace("0.", "."),
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
