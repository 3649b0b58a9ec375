"""What every job's command line has in common."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence

from lakehouse.errors import LakehouseError
from lakehouse.session import open_session
from lakehouse.settings import load_environment_settings, load_model_settings
from lakehouse.stations.lakehouse import Lakehouse, open_lakehouse
from lakehouse.stream import AVAILABLE_NOW, interval_seconds


def job_parser(description: str, triggered: bool = True) -> argparse.ArgumentParser:
    """A parser with the options that all jobs take.

    Args:
        description: the job's own docstring.
        triggered: whether the job can run for ever at an interval.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", default="conf/glassware.yaml", help="the model's YAML file (default: %(default)s)")
    parser.add_argument(
        "--environment", default="conf/local.yaml", help="where the lakehouse lives (default: %(default)s)"
    )
    parser.add_argument("--root", help="root of the lakehouse, in place of the environment's")
    if triggered:
        parser.add_argument(
            "--trigger",
            default=AVAILABLE_NOW,
            help="`available-now`, or an interval such as `10 seconds` to run for ever",
        )
    return parser


def opened(options: argparse.Namespace) -> Lakehouse:
    """The lakehouse that the options name; settings are checked before Spark starts."""
    model = load_model_settings(options.model)
    environment = load_environment_settings(options.environment)
    if options.root:
        environment = environment.model_copy(update={"root": options.root})
    interval_seconds(getattr(options, "trigger", AVAILABLE_NOW))
    return open_lakehouse(open_session(), model, environment)


def run_job(main: Callable[[Sequence[str] | None], int | None]) -> None:
    """Runs a job's `main`; an error that a person can act on is one sentence on standard error and exit code 2."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        sys.exit(main(None) or 0)
    except LakehouseError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
