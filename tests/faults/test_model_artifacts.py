"""A model's artifact is gone, altered, or of another schema: whoever would use it is refused in one
sentence, before anything of it is loaded.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import skops.io
from pyspark.sql import SparkSession
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from lakehouse.errors import RegistryError
from lakehouse.explain.explanation import explained
from lakehouse.lineage.retraining import retrained
from lakehouse.models import WORKER_CACHE, dump
from lakehouse.retraining import promoted_models
from lakehouse.scoring.scorer import score
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.versions.ledger import PromotionLedger
from tests.support.written import (
    A_DAY,
    copy_of,
    first_version,
    model_file,
    replace_model_file,
    write_readings,
)


@pytest.fixture(scope="module")
def whole(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """Version 1 is in production; tests alter copies of it."""
    return first_version(spark, tmp_path_factory.mktemp("artifacts") / "lake")


@pytest.fixture
def lakehouse(whole: Lakehouse, tmp_path: Path) -> Lakehouse:
    WORKER_CACHE.models.clear()
    promoted_models._MODELS.models.clear()
    return copy_of(whole, tmp_path / "lake")


def score_new_rows(lakehouse: Lakehouse) -> None:
    write_readings(lakehouse, range(10 * A_DAY, 10 * A_DAY + 3))
    score(lakehouse, AVAILABLE_NOW)


def load(lakehouse: Lakehouse) -> None:
    PromotionLedger(lakehouse).load("1")


def predict_again(lakehouse: Lakehouse) -> None:
    promoted_models.PromotedModels(PromotionLedger(lakehouse)).predicted(1, pd.DataFrame())


def explain(lakehouse: Lakehouse) -> None:
    explained(lakehouse.store.root, lakehouse.model, lakehouse.environment, "3")


def train_again(lakehouse: Lakehouse) -> None:
    retrained(lakehouse.store.root, lakehouse.model, lakehouse.environment, "1")


USES = [score_new_rows, load, predict_again, explain, train_again]


@pytest.mark.parametrize("use", USES)
def test_an_altered_file_is_refused_wherever_it_is_used_before_anything_is_loaded(
    lakehouse: Lakehouse, use: Callable[[Lakehouse], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model_file(lakehouse, "1")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(skops.io, "loads", lambda *_, **__: pytest.fail("it was loaded"))
    before = lakehouse.store.version(lakehouse.catalog.predictions)
    with pytest.raises(RegistryError, match=r"^model file: its SHA-256 is \w+, recorded is \w+;"):
        use(lakehouse)
    assert lakehouse.store.version(lakehouse.catalog.predictions) == before


@pytest.mark.parametrize("use", USES)
def test_a_file_that_is_gone_is_told_wherever_it_is_used(
    lakehouse: Lakehouse, use: Callable[[Lakehouse], None]
) -> None:
    shutil.rmtree(model_file(lakehouse, "1").parent)
    with pytest.raises(RegistryError, match=r"^small version 1: .*model\.skops is not "):
        use(lakehouse)


def of_other_features(lakehouse: Lakehouse) -> Lakehouse:
    """A file of a model that reads x and w, with its digest on record."""
    rows = pd.DataFrame({"x": [0.0, 1.0], "w": [0.0, 1.0]})
    model = make_pipeline(DecisionTreeClassifier()).fit(rows, [0, 1])
    return replace_model_file(lakehouse, "1", dump(model))


@pytest.mark.parametrize("use", [score_new_rows, predict_again, explain, train_again])
def test_a_file_of_another_schema_than_the_version_means_is_refused_wherever_it_is_used(
    lakehouse: Lakehouse, use: Callable[[Lakehouse], None]
) -> None:
    altered = of_other_features(lakehouse)
    before = altered.store.version(altered.catalog.predictions)
    says = re.escape("it reads x, w, not x, z")
    with pytest.raises(RegistryError, match=f"^small version 1 .*{says}"):
        use(altered)
    assert altered.store.version(altered.catalog.predictions) == before


@pytest.mark.parametrize("file", ["baseline.json"])
def test_a_document_of_a_version_that_is_no_json_is_told(lakehouse: Lakehouse, file: str) -> None:
    (model_file(lakehouse, "1").parents[1] / file).write_text("{")
    with pytest.raises(RegistryError, match=rf"small version 1: {file} was changed, it is no JSON"):
        PromotionLedger(lakehouse).baseline("1")
