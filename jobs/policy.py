"""Compares retraining policies over simulated streams: seeds x scenarios x policies, in parallel; no Spark."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from lakehouse.settings import GateSettings, load_model_settings
from lakehouse.simulation.figure import draw
from lakehouse.simulation.gate_table import gate_table
from lakehouse.simulation.policies import POLICIES
from lakehouse.simulation.table import Task, as_markdown, run_all, summary
from lakehouse.simulation.world import VARIANTS
from lakehouse.stations.command_line import run_job


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="runs of each row (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=1000, help="their first seed (default: %(default)s)")
    parser.add_argument("--scenarios", nargs="+", default=["demo"], choices=sorted(VARIANTS), metavar="NAME")
    parser.add_argument("--policies", nargs="+", default=list(POLICIES), choices=[*POLICIES, "yaml"], metavar="NAME")
    parser.add_argument(
        "--model", default="conf/glassware.yaml", help="whose `policy:` is `yaml` (default: %(default)s)"
    )
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="processes (default: all cores)")
    parser.add_argument("--figure", type=Path, default=Path(".lakehouse/policy.png"), help="(default: %(default)s)")
    parser.add_argument("--gate", action="store_true", help="print the gate's operating characteristic, and no runs")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Runs the job with the words of a command line."""
    options = parse(words)
    if options.gate:
        gate = GateSettings()
        for needed in (gate.confidence, gate.least_confidence):
            print(f"P(better) >= {needed:g}: promoted, %\n\n{gate_table(needed)}\n")
        return
    policies = dict(POLICIES)
    if "yaml" in options.policies:
        policies["yaml"] = load_model_settings(options.model).policy
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    tasks = [
        Task(policy, policies[policy], scenario, seed)
        for scenario in options.scenarios
        for policy in options.policies
        for seed in seeds
    ]
    results = run_all(tasks, options.cores)
    draw(results, options.figure)
    print(f"\n{as_markdown(summary(results))}\n\nseeds {seeds[0]}-{seeds[-1]}; figure: {options.figure}")


if __name__ == "__main__":
    run_job(main)
