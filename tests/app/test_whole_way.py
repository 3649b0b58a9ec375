from collections import Counter

from lakehouse.app.whole_way import run_pipeline
from tests.support.rows import decisions, promotions


def test_running_again_without_new_input_writes_nothing(three_nights, depot):
    for lakehouse in (three_nights, depot):
        client = lakehouse.registry._client
        experiment = client.get_experiment_by_name(lakehouse.model.name).experiment_id
        before = (
            lakehouse.store.versions(*lakehouse.catalog.tables),
            len(client.search_runs([experiment])),
        )
        champion = lakehouse.registry.champion()
        run_pipeline(lakehouse)
        assert (
            lakehouse.store.versions(*lakehouse.catalog.tables),
            len(client.search_runs([experiment])),
        ) == before
        assert lakehouse.registry.champion() == champion


def test_every_piece_has_one_prediction_after_all_nights(three_nights):
    store, catalog = three_nights.store, three_nights.catalog
    predicted = Counter(
        row["pid"] for row in store.read(catalog.predictions).select("pid").collect()
    )
    readings = {row["pid"] for row in store.read(catalog.readings).select("pid").collect()}
    assert set(predicted) == readings
    assert set(predicted.values()) == {1}
    assert len(readings) == 17 * 288 - 1


def test_a_first_model_scores_at_once_what_has_waited_for_it(three_nights):
    """The first two of the micro-batches were scored on the first and the second night."""
    costs = three_nights.store.rows(three_nights.catalog.scoring_cost)
    first, second, third = sorted(costs, key=lambda row: row["batch_id"])
    assert (first["model_version"], first["rows"]) == ("1", 9 * 288 - 1)
    assert second["rows"] == 5 * 288
    assert third["rows"] == 3 * 288
    facts = three_nights.store.rows(three_nights.catalog.window_facts, columns=["quality"])
    assert sum(row["quality"]["n_rows"] for row in facts) == 17 * 288 - 1


def test_the_new_model_is_better_where_the_old_one_had_become_worse(three_nights):
    found = {
        (row["window"]["start"].day, row["model_version"]): row["accuracy_score"]
        for row in three_nights.store.rows(three_nights.catalog.profile_metrics)
        if row["granularity"] == "1 day" and row["column_name"] == ":table"
    }
    assert found[10, "1"] > 0.9
    assert found[13, "1"] < 0.85
    assert found[15, "2"] > 0.9
    assert found[17, "2"] is None  # its labels come the next midnight


def test_a_second_model_goes_the_whole_way_from_its_yaml_file_alone(depot):
    store, catalog = depot.store, depot.catalog
    assert catalog.predictions.full_name == "silver.expected_outcome"
    predictions = store.read(catalog.predictions).toPandas()
    assert len(predictions) == predictions["parcel_no"].nunique() == 300
    assert store.read(catalog.quarantine).count() == 0
    overall = [
        row["accuracy_score"]
        for row in store.rows(catalog.profile_metrics)
        if row["column_name"] == ":table" and row["granularity"] == "1 day"
    ]
    assert min(overall) > 0.9
    assert depot.registry.champion() == "1"
    [row] = promotions(depot)
    assert dict(row["evidence"])["challenger_accuracy"] > 0.95
    assert [row["action"] for row in decisions(depot)] == ["train_first", "keep"]


def test_what_micro_batches_did_is_on_record_as_the_tables_hold_it(three_nights):
    store, catalog = three_nights.store, three_nights.catalog

    def total(query, column):
        return sum(row[column] for row in batches if row["query"] == query)

    batches = [row for row in store.rows(catalog.batch_metrics) if row["outcome"] == "ok"]
    rows = {table.full_name: store.count(table) for table in catalog.tables}
    readings, labels = rows[catalog.readings.full_name], rows[catalog.labels.full_name]
    predictions = rows[catalog.predictions.full_name]
    lines = rows[catalog.bronze_readings.full_name] + rows[catalog.bronze_labels.full_name]
    assert (total("ingest", "rows_in"), total("ingest", "rows_out")) == (lines, readings + labels)
    assert total("ingest", "rows_rejected") == rows["silver.quarantine"]
    assert total("ingest", "rows_duplicate") == rows["silver.duplicate"]
    assert (total("score", "rows_in"), total("score", "rows_out")) == (readings, predictions)
    assert total("aggregate_kpis", "rows_in") == predictions + labels
    landed = store.rows(catalog.landed_file)
    assert total("ingest", "bytes_in") == sum(row["size"] for row in landed)
    assert len({(row["query_id"], row["batch_id"]) for row in batches}) == len(batches)
    newest = {row["query"]: row for row in sorted(batches, key=lambda row: row["began_at"])}
    assert {row["backlog_files"] for row in newest.values()} == {0}
    for row in batches:
        assert sum(dict(row["phase_seconds"]).values()) <= row["seconds"] + 0.01
        assert 0 < row["heap_used_bytes"] < row["heap_max_bytes"]


def test_each_night_is_a_pass_on_record_with_its_phases(three_nights):
    runs = three_nights.store.rows(three_nights.catalog.job_run)
    assert {(row["job"], row["outcome"]) for row in runs} == {("run_pipeline", "ok")}
    names = {name for row in runs for name, _ in row["phase_seconds"]}
    assert names == {"ingest", "score", "aggregate", "compare", "retrain"}
    n_batches = three_nights.store.count(three_nights.catalog.batch_metrics)
    assert sum(row["batches"] for row in runs) == n_batches
