"""A model's YAML file, block by block, and the environment."""

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from lakehouse.settings.alerts import AlertSettings
from lakehouse.settings.base import Name, Scalar, Settings, Span, checked_once
from lakehouse.settings.columns import ColumnSettings, SourceSettings, StreamSettings
from lakehouse.settings.costs import CostSettings, with_cost_metric
from lakehouse.settings.history import HistorySettings
from lakehouse.settings.metrics import MetricSettings
from lakehouse.settings.policy import PolicySettings
from lakehouse.settings.reserved import PREDICTION, SCORE
from lakehouse.settings.rollout import RolloutSettings

Family = Literal[
    "decision_tree",
    "random_forest",
    "hist_gradient_boosting",
    "logistic_regression",
    "ridge_regression",
]
ProblemType = Literal["classification", "regression"]
_NOT_FOR: dict[ProblemType, Family] = {
    "classification": "ridge_regression",
    "regression": "logistic_regression",
}


class LabelSettings(SourceSettings):
    """The labels: which column is the truth, which is its label time, how late one may come.

    Attributes:
        corrections: what becomes of another label of the same key with another value. `reject`:
            it goes to quarantine, and the first one counts; `take`: the one of the latest label
            time counts.
    """

    time: Name
    label: Name
    horizon: Span
    corrections: Literal["reject", "take"] = "reject"


class PredictionSettings(Settings):
    """What is predicted from which columns: a class, or a number (a regression).

    Attributes:
        positive: of two classes, the one whose probability is the score.
        tolerance: of a regression, how far a prediction may be from the label and still count as
            right, in the label's unit: what the decision to retrain counts.
    """

    table: Name
    problem_type: ProblemType = "classification"
    features: Annotated[tuple[Name, ...], Field(min_length=1), AfterValidator(checked_once)]
    positive: Scalar | None = None
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class TrainingSettings(Settings):
    """When the first model is trained, and what is tried."""

    first_after: Annotated[int, Field(ge=10)]
    seed: int = 0
    max_rows: Annotated[int, Field(ge=100)] = 100_000
    families: Annotated[
        dict[Family, dict[str, Annotated[list[Any], Field(min_length=1)]]], Field(min_length=1)
    ]


class CounterfactualSettings(Settings):
    """What production is compared with, besides the first model.

    Attributes:
        daily: whether with a model that is trained each midnight on the newest labels.
        window: how far back those labels reach.
    """

    daily: bool = True
    window: Span = dt.timedelta(days=7)


class ModelSettings(Settings):
    """One model, as its YAML file says.

    Attributes:
        owner: who answers for the model.
        history: columns that are computed from the rows before; they are among the readings' then.
        approval: whether a challenger that passes takes over by itself, or waits for a person.
        costs: what predictions of classes cost, in money; also a custom metric then.
    """

    name: Name
    description: str = ""
    owner: str = ""
    key: Name
    event_time: Name
    stream: StreamSettings
    readings: SourceSettings
    labels: LabelSettings
    history: HistorySettings = HistorySettings()
    predictions: PredictionSettings
    metrics: MetricSettings
    training: TrainingSettings
    policy: PolicySettings = PolicySettings()
    rollout: RolloutSettings = RolloutSettings()
    costs: CostSettings | None = None
    counterfactual: CounterfactualSettings = CounterfactualSettings()
    alerts: AlertSettings = AlertSettings()
    approval: Literal["automatic", "manual"] = "automatic"
    _known_classes: tuple[Any, ...] = PrivateAttr(())

    def knowing(self, classes: Sequence[Any]) -> "ModelSettings":
        """The same for a lakehouse whose versions know these classes, which keep their places."""
        model = self.model_copy()
        model._known_classes = tuple(classes)
        return model

    _measures_costs = model_validator(mode="before")(with_cost_metric)

    @model_validator(mode="after")
    def _with_history(self) -> "ModelSettings":
        columns = self.history.columns(self.readings)
        if columns:
            self.__dict__["readings"] = self.readings.with_computed(columns)
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> "ModelSettings":
        wanted = {
            "readings": (
                self.key,
                self.event_time,
                *self.predictions.features,
                *self.metrics.columns,
            ),
            "labels": (self.key, self.labels.time, self.labels.label),
        }
        for source, names in wanted.items():
            columns = getattr(self, source).columns
            missing = [name for name in names if name not in columns]
            if missing:
                raise ValueError(
                    f"{source}.columns: declare {', '.join(missing)} there, or name another column"
                )
            self._check_kinds(source, columns)
        return self

    def _check_kinds(self, source: str, columns: dict[str, ColumnSettings]) -> None:
        time = self.event_time if source == "readings" else self.labels.time
        required = (self.key, time) if source == "readings" else (self.key, time, self.labels.label)
        if columns[time].type != "timestamp":
            raise ValueError(f"{source}.columns.{time}.type: write `timestamp`, since it says when")
        if columns[self.key].type not in ("long", "integer", "string"):
            raise ValueError(
                f"{source}.columns.{self.key}.type: write `long`, `integer` or `string` for a key"
            )
        nullable = [name for name in required if columns[name].nullable]
        if nullable:
            raise ValueError(
                f"{source}.columns.{nullable[0]}.nullable: write `false`; no row can do without it"
            )

    @model_validator(mode="after")
    def _keys_and_classes_fit(self) -> "ModelSettings":
        if self.readings.columns[self.key].type != self.labels.columns[self.key].type:
            raise ValueError(
                f"labels.columns.{self.key}.type: write the same type as in readings.columns"
            )
        tables = (self.readings.table, self.labels.table, self.predictions.table)
        if len({*tables}) < 3:
            raise ValueError(
                "readings.table, labels.table and predictions.table: write three different names"
            )
        taken = [name for name in self.history.tables if name in tables]
        if taken:
            raise ValueError(f"history.tables.{taken[0]}: another table has that name; rename it")
        both = [name for name in self.metrics.columns if name in self.predictions.features]
        if both:
            raise ValueError(
                f"metrics.columns: leave out {', '.join(both)}; features are monitored anyway"
            )
        times = [
            name
            for name in self.predictions.features
            if self.readings.columns[name].type == "timestamp"
        ]
        if times:
            raise ValueError(
                f"predictions.features: leave out {', '.join(times)}; a timestamp is no feature"
            )
        if self.labels.label in (*self.readings.columns, PREDICTION, SCORE):
            raise ValueError(
                "labels.label: a reading or the prediction has that name; give the label another"
            )
        if self.is_regression:
            self._check_regression()
        else:
            self._check_classification()
        return self

    def _check_classification(self) -> None:
        key, label = f"labels.columns.{self.labels.label}", self.labels.columns[self.labels.label]
        if label.values is None or len(label.values) < 2:
            raise ValueError(
                f"{key}.values: list the classes, two or more; to predict a number, "
                "write `problem_type: regression` under predictions"
            )
        if self.predictions.positive is not None and self.predictions.positive not in label.values:
            raise ValueError(f"predictions.positive: write one of {list(label.values)}")
        if self.predictions.tolerance is not None:
            raise ValueError("predictions.tolerance: leave it out; a class is right or wrong")
        strange = [] if self.costs is None else self.costs.values
        strange = [value for value in strange if value not in label.values]
        if strange:
            raise ValueError(f"costs.cells: {strange[0]!r} is none of {list(label.values)}")

    def _check_regression(self) -> None:
        key, label = f"labels.columns.{self.labels.label}", self.labels.columns[self.labels.label]
        if label.type not in ("double", "long", "integer"):
            raise ValueError(
                f"{key}.type: write `double`, `long` or `integer`; a regression predicts a number"
            )
        if label.values is not None:
            raise ValueError(
                f"{key}.values: leave it out; a regression predicts a number, not one of these"
            )
        if self.predictions.positive is not None:
            raise ValueError("predictions.positive: leave it out; a regression has no classes")
        if self.costs is not None:
            raise ValueError("costs: leave it out; a regression has no classes")
        if self.predictions.tolerance is None:
            raise ValueError(
                "predictions.tolerance: write how far a prediction may be from the label and "
                "still count as right, in the label's unit"
            )

    @model_validator(mode="after")
    def _rollout_waits_for_labels(self) -> "ModelSettings":
        if self.rollout.is_gradual and self.rollout.dwell < self.labels.horizon:
            raise ValueError(
                "rollout.dwell: is shorter than labels.horizon, so a step would end before its "
                "labels come; write at least as much"
            )
        return self

    @model_validator(mode="after")
    def _families_fit(self) -> "ModelSettings":
        problem, families = self.predictions.problem_type, self.training.families
        if _NOT_FOR[problem] in families:
            allowed = ", ".join(name for name in get_args(Family) if name != _NOT_FOR[problem])
            raise ValueError(
                f"training.families.{_NOT_FOR[problem]}: is not for a {problem}; write one of "
                f"{allowed}"
            )
        return self

    @model_validator(mode="after")
    def _costs_are_there(self) -> "ModelSettings":
        if self.costs is None and "cost" in self.policy.checks.demanded:
            raise ValueError("policy.checks.demanded: `cost` needs `costs`; write them")
        return self

    @property
    def modelled(self) -> frozenset[str]:
        """The columns that models compute with: numeric features, and a numeric label."""
        kinds = {name: self.readings.columns[name].type for name in self.predictions.features}
        label = self.labels.columns[self.labels.label].type if self.is_regression else ""
        return frozenset(
            name for name, kind in (kinds | {self.labels.label: label}).items() if kind == "double"
        )

    @property
    def is_regression(self) -> bool:
        """Whether a number is predicted, not a class."""
        return self.predictions.problem_type == "regression"

    @property
    def classes(self) -> tuple[Scalar, ...]:
        """The label's classes: those that earlier versions know, then new ones, ascending.

        The place of a class is its code, in what is kept of versions too. A regression has none.
        """
        return (
            *self._known_classes,
            *(label for label in self._active_classes if label not in self._known_classes),
        )

    @property
    def retired_classes(self) -> tuple[Any, ...]:
        """Classes that earlier versions know, and the settings do not name any more."""
        return tuple(label for label in self._known_classes if label not in self._active_classes)

    @property
    def _active_classes(self) -> tuple[Any, ...]:
        """The classes that the settings name, in ascending order."""
        given = self.labels.columns[self.labels.label].values or ()
        return tuple(sorted(given, key=lambda value: (str(type(value)), value)))

    @property
    def positive(self) -> Scalar:
        """The class that a two-class model's score is of: the named one, else the last."""
        if self.predictions.positive is None:
            return self._active_classes[-1]
        return self.predictions.positive


class EnvironmentSettings(Settings):
    """Where a lakehouse lives. `None` means: in the root's own folders.

    Attributes:
        lease: whether a job holds a lease in the lakehouse besides the machine's lock; `None`
            means: where the root is a URI.
    """

    root: str
    landing: str | None = None
    tracking_uri: str | None = None
    artifact_location: str | None = None
    lease: bool | None = None

    @property
    def takes_leases(self) -> bool:
        """Whether jobs hold leases."""
        return "://" in self.root if self.lease is None else self.lease
