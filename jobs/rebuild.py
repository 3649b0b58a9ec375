"""Makes silver and gold again from bronze and the registry, in a new folder, and compares them with
what was there; exit code 1 where they differ.
"""

from collections.abc import Sequence

from lakehouse.app.command_line import (
    STREAMS,
    hold_alone,
    job_parser,
    located,
    open_recorded,
    run_job,
)
from lakehouse.recovery.rebuild import copy_what_is_left, rebuild
from lakehouse.settings import load_environment_settings


def main(words: Sequence[str] | None = None) -> int:
    """Run the job with the words of a command line."""
    parser = job_parser(__doc__, triggered=False)
    parser.add_argument("--into", required=True, help="the new lakehouse's folder; a new one")
    options = parser.parse_args(words)
    model, lost = located(options, is_recorded=False)
    environment = load_environment_settings(options.environment)
    hold_alone(environment.model_copy(update={"root": lost}), STREAMS)
    root = copy_what_is_left(lost, options.into)
    lakehouse = open_recorded(model, environment.model_copy(update={"root": root}))
    compared = rebuild(lakehouse, lost, lambda sentence: print(sentence, flush=True))
    print(*compared, sep="\n")
    return 0 if all(each.is_same for each in compared) else 1


if __name__ == "__main__":
    run_job(main)
