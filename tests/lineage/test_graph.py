"""Graphs of lineage without a lakehouse: order, ranges, words, and other tools' languages."""

import json
import re
import uuid

from lakehouse.lineage.formats import as_dot, as_mermaid, as_openlineage
from lakehouse.lineage.graph import Edge, Node, graph_of, grouped, natural
from lakehouse.lineage.queries import sql_of
from lakehouse.lineage.story import story_of
from tests.lineage.graphs import chain


def test_each_node_stands_right_of_all_that_it_was_made_from():
    graph = chain(files=3)
    place = {node.id: column for column, nodes in enumerate(graph.ranked) for node in nodes}
    assert all(place[edge.source] < place[edge.target] for edge in graph.edges)
    assert [node.id for node in graph.ranked[-1]] == ["model/6"]


def test_what_was_made_from_nothing_stands_next_to_what_was_made_from_it():
    graph = chain(files=3)
    with_facts = graph_of(
        graph.of,
        [*graph.nodes, Node("table", "gold.window_facts@3")],
        [*graph.edges, Edge("gold.window_facts@3", "model/6", "read for")],
    )
    column = next(nodes for nodes in with_facts.ranked if "run/5f2c" in [node.id for node in nodes])
    assert "gold.window_facts@3" in [node.id for node in column]


def test_ten_thousand_files_are_one_range_that_counts_them():
    small = grouped(chain(files=10_000))
    (files,) = (node for node in small.nodes if node.kind == "file")
    assert (files.id, files.count) == ("file/1 … file/10000", 10_000)
    assert files.facts["rows"] == "1,920,000"
    assert len(small.nodes) == 5
    assert len(small.edges) == 4


def test_ranges_are_of_one_folder_or_table_and_the_node_asked_for_stays_alone():
    nodes = [
        Node("file", f"file/{number}", 1, {"source_file": f"{folder}/{number}.jsonl"})
        for folder, first in (("readings", 1), ("labels", 11))
        for number in range(first, first + 5)
    ]
    small = grouped(graph_of("file/3", nodes, []))
    assert [node.id for node in small.nodes] == [
        "file/1 … file/5",
        "file/3",
        "file/11 … file/15",
    ]


def test_numbers_within_ids_are_in_their_order():
    assert sorted(["model/10", "model/9", "model/9a"], key=natural) == [
        "model/9",
        "model/9a",
        "model/10",
    ]


def test_the_story_says_of_a_single_node_exactly_what_it_was_made_from():
    lines = story_of(chain(files=3))
    assert lines[0] == "Model version model/6: 576 rows, sha256 ab12…."
    assert lines[1] == "  was fitted by run/5f2c"
    assert "  was trained on rows of silver.reading@2" in lines
    assert "  SELECT * FROM silver.reading VERSION AS OF 2" in lines
    assert lines[-1].startswith("3 landed files, file/1 … file/3: 576 rows")


def test_mermaid_and_dot_name_each_node_and_edge_once():
    graph = chain(files=3)
    mermaid, dot = as_mermaid(graph), as_dot(graph)
    assert mermaid[0] == "flowchart LR"
    assert len([line for line in mermaid if re.match(r"  n\d+\[", line)]) == 5
    assert len([line for line in mermaid if "-->" in line]) == 4
    assert (dot[0], dot[-1]) == ("digraph lineage {", "}")
    assert len([line for line in dot if " -> " in line]) == 4


def test_text_that_means_something_to_mermaid_or_dot_is_harmless():
    graph = graph_of("model/6", [Node("model", "model/6", 1, {"rule": 'a "b" ] --> c\\'})], [])
    assert as_mermaid(graph)[1].count('"') == 2
    label = re.search(r"label=(\".*\")\]", as_dot(graph)[4])
    assert label
    assert json.loads(label[1]).startswith("model/6")


def test_openlineage_events_have_what_its_schema_requires():
    events = [
        json.loads(line) for line in as_openlineage(chain(files=3), "glass", "2024-03-01T00:00:00Z")
    ]
    assert {event["eventType"] for event in events} == {"START", "COMPLETE"}
    for event in events:
        # RunEvent 2-0-2 requires these; a Run an id, a Job and a Dataset a namespace and a name.
        assert {"eventTime", "producer", "schemaURL", "run", "job"} <= set(event)
        uuid.UUID(event["run"]["runId"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+?.*", event["eventTime"])
        for dataset in (event["job"], *event["inputs"], *event["outputs"]):
            assert dataset["namespace"] == "glass"
            assert dataset["name"]
            for facet in dataset.get("facets", {}).values():
                assert {"_producer", "_schemaURL", "datasetVersion"} <= set(facet)
    training = next(e for e in events if e["job"]["name"] == "make run")
    assert training["inputs"][0]["name"] == "silver.reading"
    assert training["inputs"][0]["facets"]["version"]["datasetVersion"] == "2"
    runs = {event["run"]["runId"] for event in events}
    assert 2 * len(runs) == len(events)


def test_each_query_names_the_very_thing():
    assert sql_of("window/1 day/2024-03-01") == (
        "SELECT * FROM gold.profile_metrics WHERE granularity = '1 day' "
        "AND window.start = TIMESTAMP '2024-03-01'"
    )
    assert sql_of("windows/1 day/2024-03-01T10:00:00..2024-03-09").endswith(
        "window.start < TIMESTAMP '2024-03-09' AND window.end > TIMESTAMP '2024-03-01 10:00:00'"
    )
    assert sql_of("windows/1 day/first..2024-03-09").endswith("start < TIMESTAMP '2024-03-09'")
