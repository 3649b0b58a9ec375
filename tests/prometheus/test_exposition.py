"""Figures become Prometheus' text: read back by its own parser, value for value."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families
from scipy.stats import binomtest

from lakehouse.prometheus.exposition import exposition
from lakehouse.prometheus.figures import BUCKETS, Figures, open_by_rule, totals_of
from tests.support.batch_reports import AT
from tests.support.monitored import everything, run


def samples(*figures):
    """Values by the sample's name and its labels, without those of the model."""
    text = exposition(figures).decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found, name, **labels):
    return found[(name, *sorted({"model": "glassware", **labels}.items()))].value


def test_each_figure_is_a_sample_of_its_own_name():
    found = samples(everything())
    assert value(found, "lakehouse_rows_total", query="score", result="out") == 190
    assert value(found, "lakehouse_batches_total", query="score", outcome="failed") == 1
    assert value(found, "lakehouse_backlog_files", query="ingest") == 2
    assert value(found, "lakehouse_oldest_waiting_seconds", query="score") == 60
    assert value(found, "lakehouse_errors_total", job="score", **{"class": "StoreError"}) == 1
    assert value(found, "lakehouse_last_run_ok", job="score") == 0
    succeeded = value(found, "lakehouse_last_success_timestamp_seconds", job="run_pipeline")
    assert succeeded == AT.timestamp()
    assert value(found, "lakehouse_table_commit_age_seconds", table="gold.job_run") == 3600
    assert value(found, "lakehouse_label_coverage", final="true") == 0.98
    assert value(found, "lakehouse_psi", column="temp") == 0.3
    assert value(found, "lakehouse_alert_open", rule="accuracy_low") == 1
    assert value(found, "lakehouse_champion_info", version="7") == 1


def test_no_sample_has_a_timestamp_and_no_label_names_a_row_or_a_file():
    allowed = {"model", "query", "result", "outcome", "job", "class", "table", "final", "column"}
    for sample in samples(everything()).values():
        assert sample.timestamp is None
        assert set(sample.labels) <= allowed | {"rule", "version", "le"}


def test_a_histogram_is_cumulative_and_ends_with_all():
    found = samples(everything())
    bounds = [*map(str, BUCKETS), "+Inf"]
    counts = [value(found, "lakehouse_batch_seconds_bucket", query="score", le=le) for le in bounds]
    assert counts == [0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3]
    assert value(found, "lakehouse_batch_seconds_count", query="score") == 3
    assert value(found, "lakehouse_batch_seconds_sum", query="score") == 401


def test_accuracy_has_its_interval():
    found = samples(everything())
    bounds = binomtest(180, 200).proportion_ci(0.95, "wilson")
    given = [
        value(found, f"lakehouse_accuracy{end}", final="true") for end in ("_low", "", "_high")
    ]
    assert given == pytest.approx([bounds.low, 0.9, bounds.high])


def test_a_job_that_never_ended_well_has_no_success_and_a_killed_one_no_seconds():
    killed = run("score", "killed", ended_at=None, seconds=None)
    found = samples(Figures("glassware", AT, runs=[killed]))
    names = {name for name, *_ in found}
    assert "lakehouse_last_success_timestamp_seconds" not in names
    assert "lakehouse_last_run_seconds" not in names
    assert value(found, "lakehouse_job_runs_total", job="score", outcome="killed") == 1


def test_what_is_not_known_is_no_sample():
    names = {name for name, *_ in samples(Figures("glassware", AT))}
    assert names == {"lakehouse_written_timestamp_seconds"}
    regression = replace(everything(), quality=replace(everything().quality, accuracy=None))
    names = {name for name, *_ in samples(regression)}
    assert "lakehouse_accuracy" not in names
    assert "lakehouse_root_mean_squared_error" in names


def test_two_models_share_each_family():
    text = exposition([everything("one"), everything("two")]).decode()
    assert text.count("# TYPE lakehouse_rows_total counter") == 1
    families = [family.name for family in text_string_to_metric_families(text)]
    assert len(families) == len(set(families))
    assert 'lakehouse_psi{column="temp",model="two"} 0.3' in text


def test_a_name_with_odd_letters_is_escaped():
    odd = 'a"b\\c\nd'
    found = samples(replace(everything(), psi={odd: 0.1}))
    assert value(found, "lakehouse_psi", column=odd) == 0.1


def test_totals_are_the_sums_of_the_rows_of_a_query():
    rng = np.random.default_rng(1)
    seconds = np.round(rng.exponential(3, 200), 3)
    rows = pa.table(
        {
            "query": rng.choice(["ingest", "score"], 200).tolist(),
            "outcome": rng.choice(["ok", "failed"], 200, p=[0.9, 0.1]).tolist(),
            "seconds": seconds,
            "rows_in": pa.array([None if n % 7 == 0 else n for n in range(200)], pa.int64()),
            **{f"rows_{name}": pa.array([0] * 200) for name in ("out", "rejected", "duplicate")},
        }
    )
    frame = rows.to_pandas()
    for query, own in frame.groupby("query"):
        found = totals_of(rows)[query]
        ended_well = own[own["outcome"] == "ok"]["seconds"]
        assert found.rows["in"] == own[own["outcome"] == "ok"]["rows_in"].sum()
        assert found.outcomes == own["outcome"].value_counts().to_dict()
        assert found.seconds == pytest.approx(ended_well.sum())
        cumulative = np.cumsum(found.in_buckets)
        assert cumulative.tolist() == [
            *((ended_well <= le).sum() for le in BUCKETS),
            len(ended_well),
        ]


def test_an_alert_is_open_by_its_newest_event():
    def event(fingerprint, sequence, status, rule="low"):
        return {"fingerprint": fingerprint, "sequence": sequence, "rule": rule, "status": status}

    events = [
        event("a", 1, "ok"),
        event("a", 0, "firing"),
        event("b", 0, "firing"),
        event("c", 0, "no_data", "late"),
    ]
    assert open_by_rule(events) == {"late": 1, "low": 1}


def test_promtool_finds_nothing_to_say():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=exposition([everything()]),
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
