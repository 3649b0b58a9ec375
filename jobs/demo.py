"""Six weeks of a glass works in minutes, midnight by midnight, and what became of its drifts."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lakehouse.app.command_line import open_recorded, run_job
from lakehouse.dashboard.build import page_path, renew_page
from lakehouse.demo.kpi_figure import draw
from lakehouse.demo.nights import begin_anew_where_other, run_nights
from lakehouse.demo.report import alerts_of, as_table, drifts_of, in_words, story_of
from lakehouse.glassware.pieces import Stream
from lakehouse.glassware.scenarios import SCENARIOS
from lakehouse.settings import EnvironmentSettings, load_model_settings


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--scenario", default="demo", help=f"one of {', '.join(SCENARIOS)} (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="which possible run (default: %(default)s)"
    )
    parser.add_argument(
        "--days", type=int, help="stop after so many midnights (default: all of the stream)"
    )
    parser.add_argument(
        "--root", default=".lakehouse/demo", help="where it lives (default: %(default)s)"
    )
    parser.add_argument(
        "--model",
        default="conf/glassware.yaml",
        help="the model's YAML file (default: %(default)s)",
    )
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line."""
    options = parse(words)
    stream = Stream(options.scenario, options.seed)
    begin_anew_where_other(stream, Path(options.root))
    model = load_model_settings(options.model)
    lakehouse = open_recorded(model, EnvironmentSettings(root=options.root))
    run_nights(lakehouse, stream, options.days)
    story = story_of(lakehouse, stream)
    figure = Path(options.root) / "report" / "kpi.png"
    draw(story, figure, f"Scenario {stream.scenario}, seed {stream.seed}: accuracy, day by day")
    print(f"\n{as_table(drifts_of(story))}\n")
    print("alerts that go out:", *alerts_of(lakehouse), "", sep="\n")
    print(f"{in_words(story)}; {len(story.promotions)} promotions; figure: {figure}")
    renew_page(str(Path(options.root)))
    print(f"dashboard: {page_path(Path(options.root))}")


if __name__ == "__main__":
    run_job(main)
