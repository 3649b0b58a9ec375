"""What do the facts of a million cells cost, and what does merging a week of hours?

Peer: pandas, which computes the same figures once (describe, value_counts, nunique) and cannot
merge them.

    PYTHONPATH=. python tests/benchmarks/facts.py [CELLS]

Figures of 2026-11-21, a million cells, processor seconds; in brackets before arrays were hashed at
once, numbers sorted once, text counted once, and many profiles merged in one call:

    double                  0.034 (0.085)   pandas  0.159
    long, all distinct      0.030 (0.647)   pandas  0.115
    long, 8 values          0.018 (0.029)   pandas  0.050
    boolean                 0.025 (0.026)   pandas  0.025
    timestamp               0.029 (1.023)   pandas  0.121
    string, 4 values        0.013 (0.027)   pandas  0.044
    string, all distinct    0.304 (0.437)   pandas  0.935
    merging 168 hours       0.005 (0.046)   pair by pair  0.047
    quality, two classes    0.165 (0.214)
"""

import sys
import time
from collections.abc import Callable
from functools import reduce

import numpy as np
import pandas as pd
import pyarrow as pa

from lakehouse.profiling.bins import quantile_edges
from lakehouse.profiling.profile import ColumnProfile, ColumnSpec
from lakehouse.quality.classification import QualityFacts


def columns(n: int) -> dict[str, tuple[pa.Array, ColumnSpec]]:
    """A column of each sort."""
    rng = np.random.default_rng(0)
    instants = pa.array(rng.integers(0, 10**15, n)).cast(pa.timestamp("us"))
    return {
        "double": (pa.array(rng.normal(size=n)), ColumnSpec("x", "double", "numeric")),
        "long, all distinct": (pa.array(rng.permutation(n)), ColumnSpec("x", "long", "numeric")),
        "long, 8 values": (pa.array(rng.integers(0, 8, n)), ColumnSpec("x", "long", "categorical")),
        "boolean": (pa.array(rng.random(n) < 0.3), ColumnSpec("x", "boolean", "categorical")),
        "timestamp": (instants, ColumnSpec("x", "timestamp", "numeric")),
        "string, 4 values": (
            pa.array(rng.choice(["a", "bb", "c", "d"], n)),
            ColumnSpec("x", "string", "categorical"),
        ),
        "string, all distinct": (
            pa.array([f"piece-{i}" for i in range(n)]),
            ColumnSpec("x", "string", "categorical"),
        ),
    }


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """Processor seconds, the best of some times: others may use the machine, too."""
    found = []
    for _ in range(times):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def described(values: pd.Series, spec: ColumnSpec) -> None:
    """What pandas would compute for the same row of the table."""
    values.nunique()
    if spec.is_categorical:
        values.value_counts()
    if not spec.is_text:
        values.astype("int64" if spec.data_type == "timestamp" else "float64").quantile(
            np.arange(1000) / 1000
        )
        values.describe()


def main(n: int) -> None:
    """Prints a line a column, then merging, then the quality of a classifier."""
    for name, (cells, spec) in columns(n).items():
        edges = (
            None
            if spec.is_categorical
            else quantile_edges(np.random.default_rng(1).normal(size=1000))
        )
        ours = seconds(
            lambda cells=cells, spec=spec, edges=edges: ColumnProfile.of(cells, spec, edges)
        )
        values = cells.to_pandas()
        theirs = seconds(lambda values=values, spec=spec: described(values, spec), 1)
        print(f"    {name:22} {ours:6.3f}   pandas {theirs:6.3f}")
    spec, rng = ColumnSpec("x", "double", "numeric"), np.random.default_rng(2)
    hours = [ColumnProfile.of(pa.array(rng.normal(size=n // 24)), spec, (0.0,)) for _ in range(168)]
    pairs = seconds(lambda: reduce(ColumnProfile.merge, hours))
    print(
        f"    {'merging 168 hours':22} {seconds(lambda: hours[0].merge(*hours[1:])):6.3f}   pair "
        f"by pair {pairs:6.3f}"
    )
    score = rng.random(n)
    scores, predictions = np.column_stack([1 - score, score]), pa.array((score > 0.5).astype(int))
    labels = pa.array((rng.random(n) < score).astype(int))
    took = seconds(lambda: QualityFacts.of(predictions, labels, scores, [0, 1]))
    print(f"    {'quality, two classes':22} {took:6.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
