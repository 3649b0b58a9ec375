"""Compares retraining policies, over simulated streams or on a lakehouse's own labels."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from lakehouse.app.command_line import run_job
from lakehouse.simulation.families import FAMILIES, MOVING
from lakehouse.simulation.policies import KNOWN, policies_of, policy_name, rollouts_of
from lakehouse.simulation.replay import report_of
from lakehouse.simulation.report.families import families_report
from lakehouse.simulation.report.gate import gate_report
from lakehouse.simulation.report.runs import as_markdown, run_all, summary, tasks_of
from lakehouse.simulation.report.spread import draw
from lakehouse.simulation.world import VARIANTS


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add, one_of = parser.add_argument, parser.add_mutually_exclusive_group().add_argument
    add("--seeds", type=int, default=20, help="runs of each row")
    add("--first-seed", type=int, default=1000, help="their first seed")
    add("--scenarios", nargs="+", default=["demo"], choices=sorted(VARIANTS), metavar="NAME")
    add("--replay", metavar="ROOT", help="a lakehouse: take its own labels, none are simulated")
    one_of("--policies", nargs="+", type=policy_name, metavar="NAME", help=KNOWN)
    add("--rollouts", nargs="+", default=[], metavar="NAME", help="ways into production, too")
    add("--model", default="conf/glassware.yaml", help="the model's YAML file")
    add("--cores", type=int, default=os.cpu_count(), help="processes")
    add("--figure", type=Path, default=Path(".lakehouse/policy.png"), help="where it is drawn")
    one_of("--families", nargs="*", choices=[*FAMILIES, *MOVING], metavar="NAME", help="or all")
    one_of("--gate", action="store_true", help="print the gate's operating characteristic alone")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line."""
    options = parse(words)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    if options.gate:
        print(gate_report())
        return
    if options.families is not None:
        print(f"\n{families_report(options.families, seeds, options.cores)}")
        return
    policies = policies_of(options.policies, options.model, bool(options.replay))
    if options.replay:
        print(f"\n{report_of(options.replay, options.model, policies, options.cores)}")
        return
    tasks = tasks_of(policies, options.scenarios, seeds, rollouts_of(options.rollouts))
    results = run_all(tasks, options.cores)
    draw(results, options.figure)
    print(f"\n{as_markdown(summary(results))}\n\nseeds {seeds[0]}-{seeds[-1]}: {options.figure}")


if __name__ == "__main__":
    run_job(main)
