"""What is to be said of one row: what was predicted of it, and what versions say of it and why."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lakehouse.errors import RegistryError
from lakehouse.explain.border import Border, borders_of
from lakehouse.explain.coalitions import game_of
from lakehouse.explain.rows import PlainRows
from lakehouse.explain.shapley import Shares, shares_of
from lakehouse.explain.versions import PlainVersions, Version
from lakehouse.models import Classification
from lakehouse.settings import EnvironmentSettings, ModelSettings
from lakehouse.storage.plain_tables import Row

SCORED, CHAMPION, BEFORE = "scored it", "champion", "before it"


@dataclass(frozen=True)
class View:
    """What one version says of the row.

    Attributes:
        version: its number.
        roles: of SCORED, CHAMPION and BEFORE those that it has.
        call: the class or number that it predicts.
        explained: what `output` is: the probability of a class, or the prediction.
        output: of the row, 0 to 1, or in the label's unit.
        shares: what each feature added to the mean output of the background.
        features: the columns that it reads, in the order of `shares.added`.
        borders: by feature.
        background: rows that the mean and the quantiles are taken from.
    """

    version: str
    roles: tuple[str, ...]
    call: Any
    explained: str
    output: float
    shares: Shares
    features: tuple[str, ...]
    borders: dict[str, Border | None]
    background: int


@dataclass(frozen=True)
class Explanation:
    """One row.

    Attributes:
        model: settings of the model.
        reading: its row of silver.
        prediction: the production prediction; None where it was not scored.
        label: the label in force; None where none was told yet.
        views: of the version that scored it, the champion and the version before; each once.
    """

    model: ModelSettings
    reading: Row
    prediction: Row | None
    label: Row | None
    views: tuple[View, ...]


def explained(
    root: str, model: ModelSettings, environment: EnvironmentSettings, key: str
) -> Explanation:
    """Explain the row of a key, as the tables are now; nothing is written.

    Raises:
        ConfigurationError: there is no valid reading of the key.
        RegistryError: there is no champion yet, or a version's file cannot be used.
        StoreError: a table, or the rows that a version was trained on, are not there.
    """
    rows, versions = PlainRows(root, model), PlainVersions(root, model, environment)
    wanted = rows.key(key)
    reading, prediction = rows.reading(wanted), rows.prediction(wanted)
    if versions.champion is None:
        raise RegistryError(f"{model.name} has no champion yet; nothing is predicted")
    roles: dict[str, list[str]] = {}
    scored_by = prediction["model_version"] if prediction else None
    for number, role in (
        (scored_by, SCORED),
        (versions.champion, CHAMPION),
        (versions.before, BEFORE),
    ):
        if number is not None:
            roles.setdefault(str(number), []).append(role)
    views = [
        _view(rows, versions.version(number), reading, tuple(own)) for number, own in roles.items()
    ]
    return Explanation(model, reading, prediction, rows.label(wanted), tuple(views))


def _view(rows: PlainRows, version: Version, reading: Row, roles: tuple[str, ...]) -> View:
    problem, pipeline = version.meaning.problem, version.pipeline
    row, background = rows.features(version, [reading]), rows.background(version)
    own = problem.outputs(pipeline, row)
    call = problem.predicted(own)
    place, explained_output = _output_of(version, own)

    def predict(frame: pd.DataFrame) -> np.ndarray:
        outputs = problem.outputs(pipeline, frame)
        return outputs if place is None else outputs[:, place]

    def changed(frame: pd.DataFrame) -> np.ndarray:
        return problem.differ(problem.predicted(problem.outputs(pipeline, frame)), call)

    return View(
        version=version.number,
        roles=roles,
        call=problem.columns(own)["prediction"][0],
        explained=explained_output,
        output=float(predict(row)[0]),
        shares=shares_of(game_of(predict, row, background), row.shape[1]),
        features=tuple(row.columns),
        borders=borders_of(changed, row, background),
        background=len(background),
    )


def _output_of(version: Version, own: np.ndarray) -> tuple[int | None, str]:
    """The column of outputs that is explained, None for a number, and what it is in words.

    Of two classes the positive one's probability, as the score is; of more, that of the call.
    """
    problem = version.meaning.problem
    if not isinstance(problem, Classification):
        return None, "prediction"
    positive = problem.classes.index(problem.positive)
    place = positive if problem.is_binary else int(problem.predicted(own)[0])
    return place, f"probability of {problem.classes[place]}"
