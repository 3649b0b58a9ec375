"""On how many days does gold.decision state a shift, where nothing has changed?

Limit: 1 % of the days, for each statement. Streams of independent rows: per stream a baseline, then
days from the same
distribution, profiled and compared as the pipeline does. Missing values, ties, rare categories, few
and many columns.

    PYTHONPATH=. python tests/benchmarks/false_alarms.py [STREAMS]

Figures of 2026-11-30, 60 streams of 30 days each: see docs/policy-evidence.md, "False alarms of
each statement".
"""

import datetime as dt
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from lakehouse.drift.comparison import drift_of, main_pvalue
from lakehouse.drift.two_samples import adjusted_pvalues
from lakehouse.profiling.bins import quantile_edges
from lakehouse.profiling.columns import ColumnSpec
from lakehouse.profiling.profile import ColumnProfile, statistics_of
from lakehouse.profiling.sketches import BASELINE_VALUES
from lakehouse.retraining.policy.detection.shifts import column_drifts

START = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
DAYS = 30
NUMBER, TEXT = "double", "string"
STREAMS = {
    "glass works": (1150, 192, ["normal"] * 3),
    "30 % missing": (1150, 192, ["normal", "normal, 30 % missing", "rounded, 30 % missing"]),
    "young model": (60, 50, ["normal", "lognormal, 30 % missing", "four kinds", "many kinds"]),
    "rare kinds": (1150, 192, ["normal", "four kinds", "many kinds", "many kinds, 30 % missing"]),
    "large days": (5000, 5000, ["normal", "lognormal", "many kinds", "rounded, 30 % missing"]),
    "40 columns": (
        1150,
        192,
        ["normal", "lognormal, 30 % missing", "four kinds", "many kinds"] * 10,
    ),
}
Profiles = Mapping[str, ColumnProfile]


def drawn(rng: np.random.Generator, kind: str, n: int) -> pa.Array:
    """Values of a column."""
    shape, _, missing = kind.partition(", ")
    values: Any = {
        "normal": lambda: rng.normal(350, 6, n),
        "lognormal": lambda: rng.lognormal(size=n),
        "rounded": lambda: np.round(rng.normal(20, 3, n)),
        "four kinds": lambda: rng.choice(list("abcd"), n, p=[0.6, 0.3, 0.07, 0.03]),
        "many kinds": lambda: np.char.add("k", np.minimum(rng.zipf(2.2, n), 10**6).astype(str)),
    }[shape]()
    mask = rng.random(n) < (0.3 if missing else 0.0)
    return pa.array(values, mask=mask)


def profiled(
    rng: np.random.Generator, kinds: list[str], n: int, edges: Mapping[str, Any] | None = None
) -> Profiles:
    """The profiles of so many rows; in own bins, where no other ones are given."""
    found = {}
    for place, kind in enumerate(kinds):
        name, values, is_text = f"x{place}", drawn(rng, kind, n), "kinds" in kind
        spec = ColumnSpec(
            name, TEXT if is_text else NUMBER, "categorical" if is_text else "numeric"
        )
        own = (
            None
            if is_text
            else quantile_edges(values.drop_null().to_numpy(), 20)
            if edges is None
            else edges[name]
        )
        found[name] = ColumnProfile.of(values, spec, own, BASELINE_VALUES)
    return found


def statements(rng: np.random.Generator, rows: int, a_day: int, kinds: list[str]) -> np.ndarray:
    """Days on which each statement is made of any column: drifted, looks faulty, values of a new
    kind.
    """
    baseline = profiled(rng, kinds, rows)
    edges = {name: profile.bin_edges for name, profile in baseline.items()}
    trained = [
        {"column_name": name, **statistics_of(profile)} for name, profile in baseline.items()
    ]
    found = np.zeros(3)
    for day in range(DAYS):
        window = {"window": {"start": START + dt.timedelta(days=day)}}
        profiles = profiled(rng, kinds, a_day, edges)
        seen = [
            {"column_name": name, **window, **statistics_of(profile)}
            for name, profile in profiles.items()
        ]
        drifts = [
            {"column_name": name, **window, **drift_of(each, baseline[name])}
            for name, each in profiles.items()
        ]
        for row, pvalue in zip(
            drifts, adjusted_pvalues([main_pvalue(row) for row in drifts]), strict=True
        ):
            row["adjusted_pvalue"] = pvalue
        columns = column_drifts(drifts, trained, seen).values()
        found += [
            any(getattr(each, name) for each in columns)
            for name in ("drifted", "suspect", "beyond")
        ]
    return found


def main(streams: int) -> None:
    """Prints the shares of days."""
    print("| stream | baseline | rows a day | columns | has drifted | looks faulty | new kind |")
    print("|---|---|---|---|---|---|---|")
    for name, (rows, a_day, kinds) in STREAMS.items():
        days = sum(
            statements(np.random.default_rng(seed), rows, a_day, kinds) for seed in range(streams)
        )
        shares = " | ".join(f"{share:.2%}" for share in days / streams / DAYS)
        print(f"| {name} | {rows:,} | {a_day:,} | {len(kinds)} | {shares} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
