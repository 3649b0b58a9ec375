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
