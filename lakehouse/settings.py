"""A model's YAML file and the environment, validated: unknown keys are errors, and an error says what to write."""

import datetime as dt
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    model_validator,
)

from lakehouse.calendar import Granularity, base_window, parse_span
from lakehouse.errors import ConfigurationError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("write lower-case letters, digits and underscores, starting with a letter")
    return name


def _checked_granularity(text: Any) -> Granularity:
    return text if isinstance(text, Granularity) else Granularity(str(text))


def _checked_utc(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


def _checked_input(name: str) -> str:
    return name if name == ":table" else _checked_name(name)


def _metric_type(text: Any) -> Any:
    """The bare word of a type, also where it is written as Databricks' API does: CUSTOM_METRIC_TYPE_AGGREGATE."""
    return text.lower().split("custom_metric_type_")[-1] if isinstance(text, str) else text


def _output_type(given: Any) -> Any:
    """The name of a type, also where it is given as a StructField (a mapping, or its JSON)."""
    if isinstance(given, str) and given.lstrip().startswith("{"):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise ValueError("write a type such as `double`, or the JSON of a StructField") from error
    name = given.get("type") if isinstance(given, dict) else given
    return {"bigint": "long", "int": "integer"}.get(name.lower(), name.lower()) if isinstance(name, str) else name


def _checked_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    names = [str(getattr(value, "name", value)) for value in values]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands there more than once; write each once")
    return values


Name = Annotated[str, AfterValidator(_checked_name)]
Span = Annotated[dt.timedelta, BeforeValidator(parse_span)]
Width = Annotated[Granularity, PlainValidator(_checked_granularity), PlainSerializer(str)]
Moment = Annotated[dt.datetime, AfterValidator(_checked_utc)]
Scalar = bool | int | float | str
S = TypeVar("S", bound="Settings")
ColumnType = Literal["long", "integer", "double", "boolean", "string", "timestamp"]
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "long": (int,),
    "integer": (int,),
    "double": (int, float),
    "boolean": (bool,),
    "string": (str,),
    "timestamp": (),
}
Family = Literal["decision_tree", "random_forest", "hist_gradient_boosting", "logistic_regression", "ridge_regression"]
ProblemType = Literal["classification", "regression"]
_NOT_FOR: dict[ProblemType, Family] = {"classification": "ridge_regression", "regression": "logistic_regression"}


class Settings(BaseModel):
    """What every block of settings has in common: it is frozen, and a key that nobody reads is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnSettings(Settings):
    """One column of an incoming line: its type, and the rules that a value must pass."""

    type: ColumnType
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    values: tuple[Scalar, ...] | None = None
    comment: str = ""

    @model_validator(mode="after")
    def _bounds_fit_the_type(self) -> "ColumnSettings":
        numeric = self.type in ("long", "integer", "double")
        if not numeric and (self.min is not None or self.max is not None):
            raise ValueError(f"min and max are for numbers; a {self.type} column takes `values`, or nothing")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max; exchange them")
        strange = [value for value in self.values or () if type(value) not in _PYTHON_TYPES[self.type]]
        if strange:
            raise ValueError(f"values are of another type: {strange}; write {self.type} values (words in quotes)")
        return self


class StreamSettings(Settings):
    """When the stream began, and how far ahead of its landing an event may say it happened."""

    began: Moment
    max_ahead: Span = dt.timedelta(minutes=5)


class SourceSettings(Settings):
    """One kind of incoming line: the name of its landing folder and tables, and its columns."""

    table: Name
    columns: dict[Name, ColumnSettings]


class LabelSettings(SourceSettings):
    """The labels: which column is the truth, which says when it was told, how late one may come."""

    time: Name
    label: Name
    horizon: Span


class PredictionSettings(Settings):
    """What is predicted from which columns: a class, or a number (a regression).

    Attributes:
        positive: of two classes, the one whose probability is the score.
        tolerance: of a regression, how far a prediction may be from the label and still count as right, in the label's
            unit: what the decision to retrain counts.
    """

    table: Name
    problem_type: ProblemType = "classification"
    features: Annotated[tuple[Name, ...], Field(min_length=1)]
    positive: Scalar | None = None
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class CustomMetricSettings(Settings):
    """A metric of the user's own: it becomes a column of gold.profile_metrics, or of gold.drift_metrics if a drift.

    The fields are those of Databricks' custom metrics; `docs/custom-metrics.md` tells what a definition may say.
    """

    name: Name
    type: Annotated[Literal["aggregate", "derived", "drift"], BeforeValidator(_metric_type)]
    input_columns: Annotated[
        tuple[Annotated[str, AfterValidator(_checked_input)], ...], Field(min_length=1), AfterValidator(_checked_once)
    ]
    definition: Annotated[str, Field(min_length=1)]
    output_data_type: Annotated[
        Literal["double", "long", "integer", "boolean", "string"], BeforeValidator(_output_type)
    ]


CustomMetrics = Annotated[tuple[CustomMetricSettings, ...], AfterValidator(_checked_once)]


class MetricSettings(Settings):
    """What is measured: the windows and bins of the metric tables, and what is looked at by itself.

    Attributes:
        granularities: widths of the windows.
        bins: of numeric columns, from the quantiles of the first champion's training data.
        columns: columns of the readings that are monitored besides the features.
        slices: SQL predicates or columns over a prediction with its label, each looked at by itself.
        custom: metrics of the user's own, each a column of its own.
        baseline_table: a Delta table (`layer.table` of this lakehouse, or a path) that is a third reference for drift.
        model_id_column: name of the metric tables' column for the model version.
    """

    granularities: Annotated[tuple[Width, ...], Field(min_length=1), AfterValidator(_checked_once)]
    bins: Annotated[int, Field(ge=2, le=1000)] = 20
    columns: Annotated[tuple[Name, ...], AfterValidator(_checked_once)] = ()
    slices: Annotated[tuple[str, ...], AfterValidator(_checked_once)] = ()
    custom: CustomMetrics = ()
    baseline_table: str | None = None
    model_id_column: Name = "model_version"

    @property
    def base_window(self) -> dt.timedelta:
        """The width of the windows that additive facts are kept for."""
        return base_window(self.granularities)


class TrainingSettings(Settings):
    """When the first model is trained, and what is tried."""

    first_after: Annotated[int, Field(ge=10)]
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    seed: int = 0
    sliding: Span = dt.timedelta(days=7)
    max_rows: Annotated[int, Field(ge=100)] = 100_000
    families: Annotated[dict[Family, dict[str, Annotated[list[Any], Field(min_length=1)]]], Field(min_length=1)]


class MarginSettings(Settings):
    """How much is too much: the thresholds of the decision and of the gate."""

    accuracy_drop: Annotated[float, Field(gt=0, lt=1)]
    alarm: Annotated[float, Field(gt=0)]
    first_gain: Annotated[float, Field(ge=0, lt=1)]
    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    refresh_growth: Annotated[float, Field(gt=1)] = 2.0
    refresh_until: Annotated[int, Field(ge=0)] = 0


class ShiryaevRobertsRule(Settings):
    """The labelled errors, by call and difficulty, say that the champion has become worse."""

    rule: Literal["shiryaev_roberts"] = "shiryaev_roberts"
    alarm: Annotated[float, Field(gt=1)] = 15_000.0
    suspicion: Annotated[float, Field(gt=1)] | None = None
    memory: Span = dt.timedelta(days=56)

    @model_validator(mode="after")
    def _suspicion_comes_first(self) -> "ShiryaevRobertsRule":
        if self.suspected > self.alarm:
            raise ValueError("suspicion is above alarm; write a smaller one, or none")
        return self

    @property
    def suspected(self) -> float:
        """From where on a surer challenger may prove the change: the alarm itself, where no suspicion is set."""
        return self.alarm if self.suspicion is None else self.suspicion


class ThresholdRule(Settings):
    """A metric of the model breaches a limit in the newest window, and in m of the last n."""

    rule: Literal["threshold"]
    metric: Name = "accuracy_score"
    direction: Literal["below", "above"] = "below"
    limit: float | None = None
    change: Annotated[float, Field(gt=0)] | None = None
    window: Span = dt.timedelta(days=1)
    breaches: Annotated[int, Field(ge=1)] = 1
    windows: Annotated[int, Field(ge=1)] = 1
    least_labelled: Annotated[int, Field(ge=1)] = 30
    hysteresis: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _one_limit(self) -> "ThresholdRule":
        if (self.limit is None) == (self.change is None):
            raise ValueError("write either `limit` (a value) or `change` (from the model's first window), not both")
        if self.breaches > self.windows:
            raise ValueError("breaches is above windows; write m <= n")
        return self


class ScheduledRule(Settings):
    """So long after the last training, whatever the figures."""

    rule: Literal["scheduled"]
    every: Span


class PageHinkleyRule(Settings):
    """Page-Hinkley test on the labelled errors, in the order of their events."""

    rule: Literal["page_hinkley"]
    tolerance: Annotated[float, Field(ge=0)] = 0.01
    threshold: Annotated[float, Field(gt=0)] = 12.0


class AdwinRule(Settings):
    """ADWIN's cut test on the labelled errors, window by window."""

    rule: Literal["adwin"]
    delta: Annotated[float, Field(gt=0, lt=1)] = 0.002
    window: Span = dt.timedelta(days=1)


Rule = Annotated[
    ShiryaevRobertsRule | ThresholdRule | ScheduledRule | PageHinkleyRule | AdwinRule, Field(discriminator="rule")
]


class GuardSettings(Settings):
    """What holds a rule back, or trains without one."""

    cool_down: Span | None = None
    most_a_week: Annotated[int, Field(ge=1)] | None = None
    safety_net: Span | None = None


class CandidateSettings(Settings):
    """On which rows a model may be trained after a change."""

    rows: Literal["adaptive", "everything", "newest"] = "adaptive"
    newest: Span = dt.timedelta(days=7)
    new_weight: Annotated[float, Field(ge=1)] = 3.0
    least_rows: Annotated[int, Field(ge=2)] = 40
    archived: Annotated[int, Field(ge=0)] = 4
    preference: Annotated[float, Field(ge=0.5, lt=1)] = 0.9


class GateSettings(Settings):
    """What a challenger must show."""

    confidence: Annotated[float, Field(ge=0, lt=1)] = 0.6
    suspicion_confidence: Annotated[float, Field(ge=0, lt=1)] = 0.99
    least_confidence: Annotated[float, Field(ge=0, lt=1)] = 0.4
    slice_fall: Annotated[float, Field(ge=0, le=1)] = 0.05
    milliseconds_per_thousand: Annotated[float, Field(gt=0)] | None = None


class ProbationSettings(Settings):
    """How long a promoted model is compared with the one before, and how sure a rollback must be."""

    rows: Annotated[int, Field(ge=0)] = 400
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.99


class OutageSettings(Settings):
    """When missing labels are an alarm of their own."""

    least_coverage: Annotated[float, Field(gt=0, le=1)] = 0.5
    patience: Span = dt.timedelta(days=1)


class PolicySettings(Settings):
    """When to retrain, on which rows, and who may take over; the defaults are the best measured (docs/policy.md)."""

    rules: Annotated[tuple[Rule, ...], Field(min_length=1)] = (ShiryaevRobertsRule(),)
    combine: Literal["any", "all"] = "any"
    guards: GuardSettings = GuardSettings()
    candidates: CandidateSettings = CandidateSettings()
    gate: GateSettings = GateSettings()
    growth: Annotated[float, Field(gt=1)] | None = 1.25
    probation: ProbationSettings = ProbationSettings()
    outage: OutageSettings = OutageSettings()

    @property
    def detector(self) -> ShiryaevRobertsRule:
        """The rule that dates changes: as configured, else with its defaults."""
        found = (rule for rule in self.rules if isinstance(rule, ShiryaevRobertsRule))
        return next(found, ShiryaevRobertsRule())


class ModelSettings(Settings):
    """One model, as its YAML file says."""

    name: Name
    description: str = ""
    key: Name
    event_time: Name
    stream: StreamSettings
    readings: SourceSettings
    labels: LabelSettings
    predictions: PredictionSettings
    metrics: MetricSettings
    training: TrainingSettings
    margins: MarginSettings
    policy: PolicySettings = PolicySettings()

    @model_validator(mode="after")
    def _names_exist(self) -> "ModelSettings":
        wanted = {
            "readings": (self.key, self.event_time, *self.predictions.features, *self.metrics.columns),
            "labels": (self.key, self.labels.time, self.labels.label),
        }
        for source, names in wanted.items():
            columns = getattr(self, source).columns
            missing = [name for name in names if name not in columns]
            if missing:
                raise ValueError(f"{source}.columns: declare {', '.join(missing)} there, or name another column")
            self._check_kinds(source, columns)
        return self

    def _check_kinds(self, source: str, columns: dict[str, ColumnSettings]) -> None:
        time = self.event_time if source == "readings" else self.labels.time
        required = (self.key, time) if source == "readings" else (self.key, time, self.labels.label)
        if columns[time].type != "timestamp":
            raise ValueError(f"{source}.columns.{time}.type: write `timestamp`, since it says when")
        if columns[self.key].type not in ("long", "integer", "string"):
            raise ValueError(f"{source}.columns.{self.key}.type: write `long`, `integer` or `string` for a key")
        nullable = [name for name in required if columns[name].nullable]
        if nullable:
            raise ValueError(f"{source}.columns.{nullable[0]}.nullable: write `false`; no row can do without it")

    @model_validator(mode="after")
    def _keys_and_classes_fit(self) -> "ModelSettings":
        if self.readings.columns[self.key].type != self.labels.columns[self.key].type:
            raise ValueError(f"labels.columns.{self.key}.type: write the same type as in readings.columns")
        if len({self.readings.table, self.labels.table, self.predictions.table}) < 3:
            raise ValueError("readings.table, labels.table and predictions.table: write three different names")
        both = [name for name in self.metrics.columns if name in self.predictions.features]
        if both:
            raise ValueError(f"metrics.columns: leave out {', '.join(both)}; features are monitored anyway")
        times = [name for name in self.predictions.features if self.readings.columns[name].type == "timestamp"]
        if times:
            raise ValueError(f"predictions.features: leave out {', '.join(times)}; a timestamp is no feature")
        if self.labels.label in (*self.readings.columns, "prediction", "score"):
            raise ValueError("labels.label: a reading or the prediction has that name; give the label another")
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

    def _check_regression(self) -> None:
        key, label = f"labels.columns.{self.labels.label}", self.labels.columns[self.labels.label]
        if label.type not in ("double", "long", "integer"):
            raise ValueError(f"{key}.type: write `double`, `long` or `integer`; a regression predicts a number")
        if label.values is not None:
            raise ValueError(f"{key}.values: leave it out; a regression predicts a number, not one of these")
        if self.predictions.positive is not None:
            raise ValueError("predictions.positive: leave it out; a regression has no classes")
        if self.predictions.tolerance is None:
            raise ValueError(
                "predictions.tolerance: write how far a prediction may be from the label and still count as right, "
                "in the label's unit"
            )

    @model_validator(mode="after")
    def _families_fit(self) -> "ModelSettings":
        problem, families = self.predictions.problem_type, self.training.families
        if _NOT_FOR[problem] in families:
            known = ", ".join(name for name in get_args(Family) if name != _NOT_FOR[problem])
            raise ValueError(f"training.families.{_NOT_FOR[problem]}: is not for a {problem}; write one of {known}")
        return self

    @property
    def is_regression(self) -> bool:
        """Whether a number is predicted, not a class."""
        return self.predictions.problem_type == "regression"

    @property
    def classes(self) -> tuple[Scalar, ...]:
        """The label's classes, in ascending order; a regression has none."""
        return tuple(
            sorted(self.labels.columns[self.labels.label].values or (), key=lambda value: (str(type(value)), value))
        )

    @property
    def positive(self) -> Scalar:
        """The class whose probability is the score of a two-class model: as named, else the last."""
        return self.classes[-1] if self.predictions.positive is None else self.predictions.positive


class EnvironmentSettings(Settings):
    """Where a lakehouse lives. `None` means: in the root's own folders."""

    root: str
    landing: str | None = None
    tracking_uri: str | None = None
    artifact_location: str | None = None


def load_model_settings(path: Path | str) -> ModelSettings:
    """The model of a YAML file.

    Raises:
        ConfigurationError: one line for each key that is wrong, with what to write instead.
    """
    return _load(ModelSettings, path)


def load_environment_settings(path: Path | str) -> EnvironmentSettings:
    """The environment of a YAML file; errors as for `load_model_settings`."""
    return _load(EnvironmentSettings, path)


def _load(kind: type[S], path: Path | str) -> S:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read ({error.strerror}); name a YAML file that is there"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not YAML: {error}") from error
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_sentence(path, kind, item) for item in _innermost(error))) from error


def _innermost(error: ValidationError) -> list[Any]:
    """The errors without those of a block that is only wrong because something in it is."""
    found = error.errors()
    blocks = {each["loc"][:depth] for each in found for depth in range(len(each["loc"]))}
    return [item for item in found if not item["loc"] or item["loc"] not in blocks]


def _sentence(path: Path | str, kind: type[Settings], item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        known = _known_keys(kind, item["loc"][:-1])
        return f"{path}: {key}: is not a setting; write one of {', '.join(known)}, or delete it"
    if item["type"] == "missing":
        return f"{path}: {key}: is missing; write a value for it"
    message = item["msg"].removeprefix("Value error, ")
    given = "" if isinstance(item["input"], dict | list) else f" (it says {item['input']!r})"
    return f"{path}: {key + ': ' if key else ''}{message}{given}"


def _known_keys(kind: type[Settings], location: tuple[int | str, ...]) -> list[str]:
    """The fields of the block at `location`, found by going down the annotations."""
    for part in location:
        field = kind.model_fields.get(str(part))
        annotation = field.annotation if field else kind
        for argument in (annotation, *get_args(annotation)):
            if isinstance(argument, type) and issubclass(argument, Settings):
                kind = argument
    return list(kind.model_fields)
