"""Custom metrics, checked at start-up: Spark tries each expression on two rows, without a job."""

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from sqlglot import exp

from lakehouse.errors import ConfigurationError
from lakehouse.monitoring.custom import expressions as sql
from lakehouse.monitoring.custom.analysis import (
    check_values,
    probe,
    types,
    understood,
    unlogged,
    without_aggregates,
)
from lakehouse.monitoring.custom.definitions import (
    BASE,
    CURRENT,
    CheckedMetric,
    CustomMetrics,
    output_field,
)
from lakehouse.monitoring.custom.template import Refusal, rendered
from lakehouse.monitoring.measured import TABLE_COLUMN
from lakehouse.monitoring.transforms import primary_schema, specs_of
from lakehouse.settings import CustomMetricSettings, ModelSettings
from lakehouse.settings.reserved import PREDICTION
from lakehouse.tables import Catalog

_ADDITIVE = "write it with sum, count, count_if, min, max, avg, bool_or or bool_and"


@dataclass(frozen=True)
class MetricContext:
    """What custom metrics are checked against.

    Attributes:
        rows: the primary rows: predictions with their labels.
        prediction: column of the rows that holds the prediction.
        label: column of the rows that holds the label.
        monitored: the columns that have rows of their own in the metric tables.
        profile: the columns of gold.profile_metrics, with or without the custom ones.
    """

    rows: T.StructType
    prediction: str
    label: str
    monitored: tuple[str, ...]
    profile: T.StructType


def custom_metrics_of(spark: SparkSession, catalog: Catalog, model: ModelSettings) -> CustomMetrics:
    """A model's metrics, ready to be computed; errors as for `check_custom_metrics`."""
    context = MetricContext(
        rows=primary_schema(catalog, model),
        prediction=PREDICTION,
        label=model.labels.label,
        monitored=tuple(spec.name for spec in specs_of(model)),
        profile=catalog.profile_metrics.schema,
    )
    return check_custom_metrics(spark, model.metrics.custom, context)


def check_custom_metrics(
    spark: SparkSession, metrics: Sequence[CustomMetricSettings], context: MetricContext
) -> CustomMetrics:
    """The metrics, ready to be computed.

    Raises:
        ConfigurationError: one sentence for each metric that cannot be, with what to write instead.
    """
    if not metrics:
        return CustomMetrics()
    checker, checked, wrong = _Checker(spark, tuple(metrics), context), [], []
    # All metrics are checked before any is refused: an error names every wrong one.
    with unlogged():
        for place, metric in enumerate(metrics):
            try:
                checked.append(checker.checked(metric))
            except Refusal as why:
                wrong.append(f"metrics.custom.{place}.{why.key}: {metric.name} {why}")
    if wrong:
        raise ConfigurationError("\n".join(wrong))
    reads = {name for metric in checked for name in metric.reads}
    return CustomMetrics(
        profile=_in_order([metric for metric in checked if metric.settings.type != "drift"]),
        drift=tuple(metric for metric in checked if metric.settings.type == "drift"),
        fields={name: checker.fields[name] for name in reads},
    )


@dataclass(frozen=True)
class _Checker:
    """Checks metrics one at a time; each method raises a Refusal."""

    spark: SparkSession
    metrics: tuple[CustomMetricSettings, ...]
    context: MetricContext

    @cached_property
    def fields(self) -> dict[str, T.StructField]:
        """The columns of the profile table, the custom ones among them."""
        own = {
            metric.name: output_field(metric) for metric in self.metrics if metric.type != "drift"
        }
        return {field.name: field for field in self.context.profile} | own

    @cached_property
    def _rows(self) -> DataFrame:
        return probe(self.spark, self.context.rows)

    @cached_property
    def _profile(self) -> DataFrame:
        return probe(self.spark, self.fields.values())

    @cached_property
    def _drift(self) -> DataFrame:
        side = T.StructType(list(self.fields.values()))
        return probe(self.spark, [T.StructField(CURRENT, side), T.StructField(BASE, side)])

    def checked(self, metric: CustomMetricSettings) -> CheckedMetric:
        """The metric, its expressions analysed for each input column."""
        measured = (TABLE_COLUMN, *self.context.monitored)
        strange = ", ".join(column for column in metric.input_columns if column not in measured)
        if strange:
            raise Refusal(
                f"names {strange}, which has no rows in the metric tables; write any of "
                f"{', '.join(measured)}",
                "input_columns",
            )
        of_columns = {column: self._of_column(metric, column) for column in metric.input_columns}
        return CheckedMetric(
            settings=metric,
            expressions={column: parts.final for column, (parts, _) in of_columns.items()},
            partials={
                column: parts.partials
                for column, (parts, _) in of_columns.items()
                if parts.partials
            },
            reads=frozenset(name for _, reads in of_columns.values() for name in reads),
        )

    def _of_column(self, metric: CustomMetricSettings, column: str) -> tuple[sql.Parts, set[str]]:
        """The metric's parts on one column's rows, and the profile columns that it reads."""
        text = sql.normalized(rendered(metric.definition, self._names(metric, column)))
        tree = sql.parsed(text)
        if metric.type == "aggregate":
            return self._aggregate(metric, text, tree, f"{metric.name}.{column}"), set()
        if tree is not None:
            sql.check_shape(tree, self.fields, aggregates=False)
        reads = set() if tree is None else self._metrics_read(metric, column, tree)
        frame = self._drift if metric.type == "drift" else self._profile
        kind, tree = understood(frame, text, tree, without_aggregates, sql.AGGREGATES)
        _check_output(metric, kind)
        final = sql.forgiving(tree)
        check_values(frame, [final])
        return sql.Parts({}, final), reads

    def _names(self, metric: CustomMetricSettings, column: str) -> dict[str, str]:
        names = {} if column == TABLE_COLUMN else {"input_column": column}
        if metric.type == "aggregate":
            names |= {"prediction_col": self.context.prediction, "label_col": self.context.label}
        elif metric.type == "drift":
            names |= {"current_df": CURRENT, "base_df": BASE}
        return names

    def _aggregate(
        self, metric: CustomMetricSettings, text: str, tree: exp.Expr | None, of: str
    ) -> sql.Parts:
        rows = self.context.rows
        if tree is not None:
            sql.check_shape(tree, rows.names, aggregates=True)
            read = {parts[0] for parts in sql.columns_read(tree)}
            own = read & self._custom_names - set(rows.names)
            if own:
                raise Refusal(
                    f"reads the metric {min(own)}, but an aggregate reads rows; write `type: "
                    "derived`"
                )
        kind, tree = understood(self._rows, text, tree, F.expr)
        calls = [sql.sql_of(call) for call in sql.aggregates_in(tree)]
        if not calls:
            raise Refusal(f"has no aggregate function that hours can be summed of; {_ADDITIVE}")
        digest = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:8]
        parts = sql.taken_apart(
            tree,
            [type_.simpleString() for type_ in types(self._rows, calls, F.expr)],
            lambda n, merge: (
                f"{of}.{digest}.{n}.{merge}"
            ),  # another definition is another id: old hours are not its
            {
                field.name
                for field in rows
                if isinstance(field.dataType, T.ByteType | T.ShortType | T.IntegerType)
            },
        )
        types(self._rows, parts.partials.values(), F.expr)
        values = probe(self.spark, (T.StructField(key, T.DoubleType()) for key in parts.partials))
        (from_hours,) = types(
            values,
            [parts.final],
            without_aggregates,
            f"has an aggregate function that cannot be summed from hours; {_ADDITIVE}",
        )
        if from_hours != kind:
            raise Refusal(
                f"is a {kind.simpleString()} that hours give as a {from_hours.simpleString()}; "
                "cast it to either"
            )
        _check_output(metric, kind)
        check_values(self._rows, parts.scalars)
        check_values(values, [parts.final])
        return parts

    def _metrics_read(self, metric: CustomMetricSettings, column: str, tree: exp.Expr) -> set[str]:
        """The columns of the profile table that a derived or drift metric reads."""
        names = set()
        for named in sql.columns_read(tree):
            parts = named
            if metric.type == "drift":
                if parts[0] not in (CURRENT, BASE) or len(parts) == 1:
                    name = parts[-1]
                    raise Refusal(
                        f"reads {name} of no window; write {{{{current_df}}}}.metric or "
                        f"{{{{base_df}}}}.metric"
                    )
                parts = parts[1:]
            self._check_readable(parts[0], column)
            names.add(parts[0])
        return names

    def _check_readable(self, name: str, column: str) -> None:
        other = next((metric for metric in self.metrics if metric.name == name), None)
        if other is not None and other.type == "drift":
            raise Refusal(
                f"reads the drift metric {name}; only aggregate and derived metrics can be read"
            )
        if other is not None and column not in other.input_columns:
            raise Refusal(
                f"reads {name}, which has no value on {column}; add {column} to the input_columns "
                f"of {name}"
            )
        if name not in self.fields and name in self.context.rows.names:
            raise Refusal(
                f"reads {name}, a column of the rows; make an aggregate metric of it, and read that"
            )
        if name not in self.fields:
            close = difflib.get_close_matches(name, self.fields, n=1)
            instead = f"did you mean {close[0]}?" if close else "write the name of one of those"
            raise Refusal(
                f"reads {name}, which is no metric and no column of gold.profile_metrics; {instead}"
            )

    @cached_property
    def _custom_names(self) -> set[str]:
        return {metric.name for metric in self.metrics}


def _check_output(metric: CustomMetricSettings, kind: T.DataType) -> None:
    wanted = metric.output_data_type
    types_that_fit = {"string": T.DataType, "boolean": T.BooleanType}
    fits = isinstance(kind, types_that_fit.get(wanted, T.NumericType | T.BooleanType))
    if not fits and not isinstance(kind, T.NullType):
        raise Refusal(
            f"gives a {kind.simpleString()}, which is no {wanted}; write another type, or cast it",
            "output_data_type",
        )


def _in_order(metrics: Sequence[CheckedMetric]) -> tuple[CheckedMetric, ...]:
    """Each metric after those that it reads."""
    by_name = {metric.name: metric for metric in metrics}
    order = TopologicalSorter(
        {name: sorted(metric.reads & by_name.keys()) for name, metric in by_name.items()}
    )
    try:
        return tuple(by_name[name] for name in order.static_order())
    except CycleError as error:
        first, *others = reversed(error.args[1])
        circle = f"{first} reads {', which reads '.join(others)}"
        raise ConfigurationError(
            f"metrics.custom: {circle}; let one of them read other metrics"
        ) from error
