"""Compares retraining policies, over simulated streams or on a lakehouse's own labels; in parallel, without Spark."""

import argparse
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from lakehouse.app.command_line import run_job
from lakehouse.settings import GateSettings, load_model_settings
from lakehouse.simulation.policies import OF_MODEL, POLICIES, policies_of, policy_name
from lakehouse.simulation.replay import report_of
from lakehouse.simulation.report.gate import gate_table
from lakehouse.simulation.report.runs import Task, as_markdown, run_all, summary
from lakehouse.simulation.report.spread import draw
from lakehouse.simulation.world import VARIANTS


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="runs of each row (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=1000, help="their first seed (default: %(default)s)")
    parser.add_argument("--scenarios", nargs="+", default=["demo"], choices=sorted(VARIANTS), metavar="NAME")
    parser.add_argument("--replay", metavar="ROOT", help="a lakehouse: take its own labels in place of simulated ones")
    known = f"{', '.join(POLICIES)}; {OF_MODEL}: the model's own; a/file.yaml: what may stand under its `policy:`"
    parser.add_argument("--policies", nargs="+", type=policy_name, metavar="NAME", help=f"some of {known}")
    parser.add_argument("--model", default="conf/glassware.yaml", help="the model's YAML file (default: %(default)s)")
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
    policies = policies_of(options.policies or [*([OF_MODEL] if options.replay else []), *POLICIES], options.model)
    if options.replay:
        print(f"\n{report_of(options.replay, load_model_settings(options.model), policies, options.cores)}")
        return
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    runs = itertools.product(options.scenarios, policies.items(), seeds)
    tasks = [Task(name, settings, scenario, seed) for scenario, (name, settings), seed in runs]
    results = run_all(tasks, options.cores)
    draw(results, options.figure)
    print(f"\n{as_markdown(summary(results))}\n\nseeds {seeds[0]}-{seeds[-1]}; figure: {options.figure}")


if __name__ == "__main__":
    run_job(main)
