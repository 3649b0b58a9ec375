"""Compares retraining policies, over simulated streams or on a lakehouse's own labels; in parallel, without Spark."""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from lakehouse.settings import GateSettings, PolicySettings, load_model_settings, load_policy_settings
from lakehouse.simulation.figure import draw
from lakehouse.simulation.gate_table import gate_table
from lakehouse.simulation.policies import POLICIES
from lakehouse.simulation.recorded import recorded
from lakehouse.simulation.replay import NEVER, compared, judged_rows, learner_of, replay_all
from lakehouse.simulation.table import Task, as_markdown, run_all, summary
from lakehouse.simulation.world import VARIANTS
from lakehouse.stations.command_line import run_job

YAML = "yaml"


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="runs of each row (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=1000, help="their first seed (default: %(default)s)")
    parser.add_argument("--scenarios", nargs="+", default=["demo"], choices=sorted(VARIANTS), metavar="NAME")
    parser.add_argument(
        "--replay", metavar="ROOT", help="a lakehouse, whose own labels are taken in place of simulated streams"
    )
    parser.add_argument(
        "--policies",
        nargs="+",
        type=_policy_name,
        metavar="NAME",
        help=f"of {', '.join(POLICIES)}; `{YAML}` is the model's own, `a/file.yaml` what could stand under its "
        "`policy:` (default: all built-in ones; in a replay the model's own, too)",
    )
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
    elif options.replay:
        _replay(options)
    else:
        _simulate(options, _policies(options.policies or list(POLICIES), options.model))


def _simulate(options: argparse.Namespace, policies: Mapping[str, PolicySettings]) -> None:
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    tasks = [
        Task(policy, settings, scenario, seed)
        for scenario in options.scenarios
        for policy, settings in policies.items()
        for seed in seeds
    ]
    results = run_all(tasks, options.cores)
    draw(results, options.figure)
    print(f"\n{as_markdown(summary(results))}\n\nseeds {seeds[0]}-{seeds[-1]}; figure: {options.figure}")


def _replay(options: argparse.Namespace) -> None:
    model = load_model_settings(options.model)
    asked = _policies(options.policies or [YAML, *POLICIES], options.model)
    policies = {NEVER: POLICIES["never"]} | {name: each for name, each in asked.items() if name != "never"}
    history = recorded(options.replay.rstrip("/"), model)
    replays = replay_all(history, policies, model, options.cores)
    trial, made = learner_of(model).trial, history.rows.made[judged_rows(history, replays)]
    print(f"\n{as_markdown(compared(history, replays))}\n")
    span = " to ".join(str(moment.astype("datetime64[m]")).replace("T", " ") for moment in made[[0, -1]])
    print(f"judged: rows made from {span}; {len(history.nights)} label days; each training: {trial.name.strip()}")


def _policies(names: Sequence[str], model: str) -> dict[str, PolicySettings]:
    """The named policies, in that order."""
    found = {}
    for name in names:
        if name in POLICIES:
            found[name] = POLICIES[name]
        else:
            found[name] = load_model_settings(model).policy if name == YAML else load_policy_settings(name)
    return found


def _policy_name(word: str) -> str:
    if word in POLICIES or word == YAML or word.endswith((".yaml", ".yml")):
        return word
    raise argparse.ArgumentTypeError(f"{word!r} is none; write one of {', '.join(POLICIES)}, {YAML}, or a YAML file")


if __name__ == "__main__":
    run_job(main)
