"""Answers requests by the version in production, over HTTP, without Spark."""

from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, located, run_job
from lakehouse.serving.serve import ServeOptions, serve
from lakehouse.serving.served_lines import Rotation
from lakehouse.settings import load_environment_settings


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line; it ends when it is told to."""
    parser, usual = job_parser(__doc__, triggered=False), ServeOptions()
    parser.add_argument("--host", default=usual.host, help="address to bind (default: %(default)s)")
    parser.add_argument("--port", type=int, default=usual.port, help="default: %(default)s")
    parser.add_argument(
        "--poll",
        type=float,
        default=usual.poll,
        help="seconds between two looks for another champion (default: %(default)s)",
    )
    parser.add_argument(
        "--land-after",
        type=float,
        default=usual.rotation.seconds,
        help="seconds after which a file of answered rows lands (default: %(default)s)",
    )
    options = parser.parse_args(words)
    model, root = located(options, is_recorded=False)
    environment = load_environment_settings(options.environment)
    rotation = Rotation(seconds=options.land_after)
    serve(
        root, model, environment, ServeOptions(options.host, options.port, options.poll, rotation)
    )


if __name__ == "__main__":
    run_job(main)
