"""MLflow refuses, hangs, errs, or dies in the middle of a promotion: a job ends soon, with one
sentence; what needs no MLflow goes on; and what was cut off is completed by the next run.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.app.opening import open_lakehouse
from lakehouse.app.whole_way import run_pipeline
from lakehouse.errors import RegistryUnreachableError
from lakehouse.explain.versions import PlainVersions
from lakehouse.retraining.retrain_and_promote import retrain_and_promote
from lakehouse.scoring import promoted
from lakehouse.scoring.scorer import score
from lakehouse.settings import EnvironmentSettings
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.versions.ledger import PromotionLedger
from lakehouse.versions.promotion import rollback
from tests.support.mlflow_server import ERRS, HANGS, REFUSES, FaultyServer, faulty_server
from tests.support.opened import empty_registry
from tests.support.rows import decisions
from tests.support.small_model import Settings, is_ok, land_days, model_of
from tests.support.written import aggregate, told_at, train, write_labels, write_readings

A_DAY = 130


def often_refreshed(settings: Settings) -> None:
    """Training again costs nearly nothing."""
    settings["policy"] = {"price": 0.01}


@dataclass(frozen=True)
class Served:
    """A lakehouse in whose folder beside it an MLflow server keeps its models."""

    server: FaultyServer
    lakehouse: Lakehouse

    def as_another_process(self) -> Lakehouse:
        """The lakehouse as a job opens it that has seen nothing yet."""
        promoted._scored_with.clear()
        return replace(self.lakehouse, store=replace(self.lakehouse.store))


def opened_at(spark: SparkSession, folder: Path, server: FaultyServer) -> Lakehouse:
    environment = EnvironmentSettings(
        root=str(folder / "lake"),
        tracking_uri=server.address,
        artifact_location="mlflow-artifacts:/small",
    )
    return open_lakehouse(spark, model_of(often_refreshed), environment)


@pytest.fixture(scope="module")
def before(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 has scored a day, whose labels have come, so that a second is due. To be copied."""
    folder = tmp_path_factory.mktemp("mlflow-faults")
    shutil.copy(empty_registry(), folder / "mlflow.db")
    with faulty_server(folder) as server:
        lakehouse = opened_at(spark, folder, server)
        write_readings(lakehouse, range(A_DAY))
        write_labels(lakehouse, range(A_DAY), is_ok)
        train(lakehouse, told_at(A_DAY - 1))
        score(lakehouse, AVAILABLE_NOW)
        write_readings(lakehouse, range(A_DAY, 2 * A_DAY))
        score(lakehouse, AVAILABLE_NOW)
        write_labels(lakehouse, range(A_DAY, 2 * A_DAY), is_ok)
        aggregate(lakehouse, 0, 2 * A_DAY - 1, told_at(2 * A_DAY - 1))
    return folder


@pytest.fixture
def served(spark: SparkSession, before: Path, tmp_path: Path) -> Iterator[Served]:
    folder = shutil.copytree(before, tmp_path / "copy")
    with faulty_server(folder) as server:
        yield Served(server, opened_at(spark, folder, server))


def score_new_rows(lakehouse: Lakehouse) -> None:
    write_readings(lakehouse, range(900, 910))
    score(lakehouse, AVAILABLE_NOW)


def retrain(lakehouse: Lakehouse) -> None:
    retrain_and_promote(lakehouse, AVAILABLE_NOW)


def go_back(lakehouse: Lakehouse) -> None:
    rollback(lakehouse, "ada", "to see")


def explain(lakehouse: Lakehouse) -> None:
    PlainVersions(lakehouse.store.root, lakehouse.model, lakehouse.environment).version("1")


REFUSED, LATE = "Remote end closed connection", "Read timed out"


@pytest.mark.parametrize(
    ("job", "fault", "why"),
    [
        (score_new_rows, REFUSES, REFUSED),
        (score_new_rows, HANGS, LATE),
        (retrain, HANGS, LATE),
        (go_back, ERRS, "too many 500 error responses"),
        (explain, REFUSES, REFUSED),
    ],
)
def test_a_job_ends_after_three_tries_with_one_sentence_and_has_written_nothing(
    served: Served,
    job: Callable[[Lakehouse], None],
    fault: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    lakehouse, catalog = served.as_another_process(), served.lakehouse.catalog
    served.server.requests.clear()
    served.server.fault = fault
    kept = (catalog.predictions, catalog.scoring_ledger, catalog.promotion, catalog.decision)
    before = lakehouse.store.versions(*kept)
    with pytest.raises(RegistryUnreachableError) as told:
        job(lakehouse)
    assert str(told.value) == (
        f"tracking_uri: MLflow does not answer at {served.server.address} ({why}); start it, or "
        "write where it is; then run the job again: nothing that was done is lost"
    )
    assert len(served.server.requests) == 3
    assert lakehouse.store.versions(*kept) == before


def test_a_request_is_given_up_in_seconds_and_not_in_minutes() -> None:
    tries = int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) + 1
    assert tries * int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) <= 30
    assert int(os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"]) == 1
    # A server may ask for an hour's patience.
    assert os.environ["MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER"] == "false"


def test_nobody_listens_is_told_and_a_login_in_the_address_is_not(
    spark: SparkSession, served: Served
) -> None:
    address = "http://ann:s3cret-of-ann@127.0.0.1:9"
    environment = served.lakehouse.environment.model_copy(update={"tracking_uri": address})
    lakehouse = replace(served.as_another_process(), environment=environment)
    says = "MLflow does not answer at http://***@127.0.0.1:9 (Connection refused); start it"
    with pytest.raises(RegistryUnreachableError, match=re.escape(says)) as told:
        retrain(lakehouse)
    assert "s3cret" not in str(told.value)


def test_a_process_that_has_its_model_goes_on_to_score_without_mlflow(served: Served) -> None:
    lakehouse = served.as_another_process()
    write_readings(lakehouse, range(800, 810))
    score(lakehouse, AVAILABLE_NOW)
    served.server.fault = REFUSES
    later = replace(lakehouse, store=replace(lakehouse.store))  # the next pass, of the same process
    write_readings(later, range(900, 910))
    score(later, AVAILABLE_NOW)
    assert later.store.count(later.catalog.predictions) == 2 * A_DAY + 20


def test_a_model_file_at_hand_scores_in_a_new_process_without_mlflow(
    served: Served, tmp_path: Path
) -> None:
    artifacts = tmp_path / "copy" / "artifacts" / "small"
    given = {"artifact_location": str(artifacts)}
    environment = served.lakehouse.environment.model_copy(update=given)
    lakehouse = replace(served.as_another_process(), environment=environment)
    served.server.fault = REFUSES
    score_new_rows(lakehouse)
    assert lakehouse.store.count(lakehouse.catalog.predictions) == 2 * A_DAY + 10


def test_the_whole_way_takes_in_and_scores_without_mlflow_and_then_tells_of_it(
    served: Served,
) -> None:
    score_new_rows(served.lakehouse)  # this process has the model
    lakehouse = replace(served.lakehouse, store=replace(served.lakehouse.store))
    land_days(lakehouse, "landed", range(1000, 1010))
    served.server.fault = REFUSES
    with pytest.raises(RegistryUnreachableError):
        run_pipeline(lakehouse, draws_page=False)
    assert lakehouse.store.count(lakehouse.catalog.predictions) == 2 * A_DAY + 20
    served.server.heals()
    run_pipeline(lakehouse, draws_page=False)
    assert PromotionLedger(lakehouse).champion == lakehouse.registry.champion() == "2"


@pytest.mark.parametrize(
    "request_of",
    [
        "runs/create",
        "mlflow-artifacts/artifacts",
        "model-versions/create",
        "registered-models/alias",
    ],
)
def test_a_training_or_promotion_that_mlflow_cut_off_is_completed_by_the_next_run(
    served: Served, request_of: str
) -> None:
    lakehouse = served.as_another_process()
    served.server.dies_at = lambda path: request_of in path
    with pytest.raises(RegistryUnreachableError):
        retrain(lakehouse)
    promoted = [row["to_version"] for row in PromotionLedger(lakehouse).rows]
    assert promoted == (["1", "2"] if request_of == "registered-models/alias" else ["1"])
    served.server.heals()
    after = served.as_another_process()
    assert after.registry.champion() == "1"
    retrain(after)
    assert after.registry.champion() == PromotionLedger(after).champion == "2"
    assert [row["to_version"] for row in PromotionLedger(after).rows] == ["1", "2"]
    assert len({row["as_of"] for row in decisions(after)}) == len(decisions(after))
