"""Writes a promoted version as one file for machines without Python, once it is shown equal."""

from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, located, run_job
from lakehouse.errors import ConfigurationError
from lakehouse.settings import load_environment_settings


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line; it needs no Spark."""
    parser = job_parser(__doc__, triggered=False)
    parser.add_argument("--version", help="number of a promoted version (default: the champion)")
    parser.add_argument("--to", choices=("onnx",), default="onnx", help="(default: %(default)s)")
    parser.add_argument("--into", default="export", help="folder (default: %(default)s)")
    options = parser.parse_args(words)
    try:
        from lakehouse.export import export as exporting
    except ImportError as error:
        raise ConfigurationError(
            f"--to onnx: {error.name} is not installed: pip install 'glassware-lakehouse[export]'"
        ) from error
    model, root = located(options, is_recorded=False)
    environment = load_environment_settings(options.environment)
    result = exporting.export(root, model, environment, options.version)
    equality = result.report["equality"]
    paths = exporting.write(result, options.into)
    print(
        f"version {result.report['version']}: {' and '.join(map(str, paths))}; asked about "
        f"{equality['training_rows']} rows of the training and {equality['threshold_rows']} at "
        f"thresholds, no call differs, outputs by {equality['greatest_difference']:.3g} at most"
    )


if __name__ == "__main__":
    run_job(main)
