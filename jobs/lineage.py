"""Says where a number comes from, checks what is on record, or trains a version again."""

import argparse
import datetime as dt
from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, located, run_job
from lakehouse.dashboard.lineage_drawing import as_svg
from lakehouse.lineage.formats import as_dot, as_mermaid, as_openlineage
from lakehouse.lineage.graph import Graph
from lakehouse.lineage.reading import Records, records_of
from lakehouse.lineage.retraining import as_lines as retrained_lines
from lakehouse.lineage.retraining import number_of, retrained
from lakehouse.lineage.row_origin import graph_of_node
from lakehouse.lineage.story import story_of
from lakehouse.lineage.verification import Verification, as_lines
from lakehouse.settings import load_environment_settings

FORMATS = ("text", "mermaid", "dot", "svg", "openlineage")


def main(words: Sequence[str] | None = None) -> int:
    """Run the job with the words of a command line; it needs no Spark and writes nothing."""
    parser = job_parser(__doc__, triggered=False)
    parser.add_argument("--of", help="what is asked for, such as model/6 or window/2019-07-19")
    parser.add_argument("--format", choices=FORMATS, default="text", help="(default: %(default)s)")
    parser.add_argument("--verify", action="store_true", help="read again what it rests on, or all")
    parser.add_argument("--retrain", metavar="MODEL", help="train it again, such as model/6")
    options = parser.parse_args(words)
    if not (options.of or options.verify or options.retrain):
        parser.error("write --of, --verify or --retrain")
    model, root = located(options)
    environment = load_environment_settings(options.environment)
    if options.retrain:
        result = retrained(root, model, environment, number_of(options.retrain))
        print(*retrained_lines(result), sep="\n")
        return int(not result.is_same)
    with records_of(root, model) as records:
        graph = graph_of_node(records, options.of) if options.of else None
        if not options.verify and graph:
            print(*_written(graph, records, options), sep="\n")
            return 0
        ids = graph and records.ancestor_ids() | {node.id for node in graph.nodes}
        checks = Verification(records, environment, ids).checks()
        lines, is_same = as_lines(checks, graph.of if graph else root)
        print(*lines, sep="\n")
        return int(not is_same)


def _written(graph: Graph, records: Records, options: argparse.Namespace) -> list[str]:
    if options.format == "openlineage":
        return as_openlineage(graph, records.model.name, dt.datetime.now(dt.UTC).isoformat())
    written = {"text": story_of, "mermaid": as_mermaid, "dot": as_dot, "svg": as_svg}
    return written[options.format](graph)


if __name__ == "__main__":
    run_job(main)
