"""Gold: facts, metric tables, decisions and promotions; the same for every model."""

from dataclasses import replace
from functools import partial

from lakehouse.settings import ModelSettings
from lakehouse.tables.custom_columns import custom_columns
from lakehouse.tables.declaration import Table, columns

MODEL_ID = "model_version"

_ITEMS = "array<struct<item:string,count:bigint>>"
_CONFUSION = "array<struct<prediction:string,label:string,count:bigint>>"
_BY_CLASS = "struct<macro:double,weighted:double,one_vs_all:map<string,double>>"
_DIFFERENCES = (
    "array<struct<region:string,change:string,rows:bigint,differ:bigint,"
    "for_challenger:bigint,for_champion:bigint>>"
)
_CHECKS = (
    "array<struct<name:string,passed:boolean,reason:string,figure:double,bound:double,"
    "demanded:boolean>>"
)
_WINDOW = "struct<start:timestamp,end:timestamp>"
_TEST = "struct<statistic:double,pvalue:double>"

_COLUMN_FACTS = (
    "struct<name:string,data_type:string,kind:string,count:bigint,num_nulls:bigint,num_nan:bigint,num_zeros:bigint,"
    "num_finite:bigint,mean:double,mean_rest:double,m2:double,min:double,max:double,bin_edges:array<double>,bin_counts:array<bigint>,"
    "items:map<string,bigint>,quantile_sketch:binary,distinct_sketch:binary,"
    "min_length:bigint,max_length:bigint,total_length:bigint>"
)
_QUALITY_FACTS = (
    f"struct<classes:array<string>,positive:string,n_rows:bigint,n_labelled:bigint,n_scored:bigint,"
    f"confusion:{_CONFUSION},sum_log_loss:double,sum_brier:double,"
    "histograms:array<struct<class:string,positives:array<bigint>,negatives:array<bigint>>>,"
    "calibration:array<struct<rows:bigint,right:bigint,confidence:double>>,n_right_without_retraining:bigint,"
    "tolerance:double,n_right:bigint,label_mean:double,label_mean_rest:double,label_m2:double,"
    "error_mean:double,error_mean_rest:double,error_m2:double,"
    "sum_absolute_error:double,sum_absolute_percentage_error:double>"
)

# Columns that more than one of the tables has.
_SHARED = columns("""
    model_version      string  Registered version; * for all together
    monitor_version    bigint  Version of the metrics' configuration
    granularity        string  Width of the window
    slice_key          string  Slicing expression; NULL for the whole table
    slice_value        string  Value of that expression
    column_name        string  :table for what concerns the whole row
    data_type          string  Type of the column
    n_labelled         bigint  Rows whose label has come
    label_coverage     double  Share of rows whose label has come, 0-1
    is_final           boolean No more labels can come within the label horizon
    in_training_window boolean The model was trained on rows of this window
    as_of              timestamp
        Newest label time that the facts knew of when the row was computed
    as_of_version      map<string,bigint> Delta versions read
    window_date        date    Day in which the window starts
""")
_columns = partial(columns, declared=_SHARED)

WINDOW_FACTS = Table(
    "gold",
    "window_facts",
    "Additive facts of a base window (an hour at most) × model version × slice; they sum to any "
    "coarser window",
    ("window_start", "model_version", "slice_key", "slice_value"),
    _columns(f"""
        window_start  timestamp          Start of the base window, event time, UTC
        model_version string             Registered version that predicted
        slice_key, slice_value
        n_in_training bigint             Rows that the version was itself trained on
        quality       {_QUALITY_FACTS}   Counts and sums that the quality of predictions is
            computed from
        columns       array<{_COLUMN_FACTS}> Counts, moments, bins and sketches of each column
        custom        map<string,double> What custom metrics are computed from, by an id of each
            part
        by_difficulty array<struct<bin:int,labelled:bigint,wrong:bigint>> Labelled rows and errors
            by class and bin of expected error (class code × 7 + bin), none trained on; no slices
        rows_by_bin   array<struct<bin:int,rows:bigint>> Predicted rows, with or without a label,
            by the same bins; no slices
        monitor_version, as_of, as_of_version, window_date
    """),
    partition_by=("window_date",),
    append_only=False,
    from_driver=True,
    version=4,
)

PROFILE_METRICS = Table(
    "gold",
    "profile_metrics",
    "A window × granularity × log type × slice × model version × column",
    (
        "window",
        "granularity",
        "log_type",
        "slice_key",
        "slice_value",
        "model_version",
        "column_name",
    ),
    _columns(f"""
        window                     {_WINDOW}     Event-time window; NULL for baselines
        log_type                   string        INPUT, or BASELINE: a version's training data,
            BASELINE_TABLE: the fixed baseline
        logging_table_commit_version int           Delta version of the profiled table
        monitor_version
        granularity                string        Width of the window; NULL for baselines
        slice_key, slice_value, column_name
        count                      bigint        Values that are not null; rows, for :table
        data_type
        num_nulls                  bigint        Null values
        avg                        double        Mean
        min                        double        Least value
        max                        double        Greatest value
        stddev                     double        Sample standard deviation
        num_zeros                  bigint        Zeros
        num_nan                    bigint        Not-a-number values
        min_length                 double        Length of the shortest string
        max_length                 double        Length of the longest string
        avg_length                 double        Mean length of strings
        non_null_columns           array<string> Columns with a value in the window; for :table
        frequent_items             {_ITEMS}      Most frequent values
        median                     double        Median
        distinct_count             bigint        Distinct values
        quantiles                  array<double> 1000 quantiles; element 500 is the median
        percent_nan                double        Share of not-a-number values, 0-100
        percent_null               double        Share of nulls, 0-100
        percent_zeros              double        Share of zeros, 0-100
        percent_distinct           double        Share of distinct values, 0-100
        model_version
        accuracy_score             double        Share of labelled rows predicted right
        log_loss                   double        Mean negative log probability of the true class
        roc_auc_score              double        Area under the ROC curve
        confusion_matrix           {_CONFUSION}  Labelled rows by prediction and label
        precision                  {_BY_CLASS}   Precision
        recall                     {_BY_CLASS}   Recall
        f1_score                   {_BY_CLASS}   F1
        mean_squared_error         double        For regression
        root_mean_squared_error    double        For regression
        mean_average_error         double        For regression
        mean_absolute_percentage_error double        For regression
        r2_score                   double        For regression
        brier_score                double        Mean squared error of the probability
        expected_calibration_error double        Mean gap of confidence and accuracy over bins of
            confidence
        accuracy_without_retraining double        Share of labelled rows that the first model would
            predict right
        expected_accuracy          double        Share of rows that the version expects to be right
            (numbers: within the tolerance), by its errors in cross-fitting; needs no label, and
            cannot see a changed rule
        expected_accuracy_low      double        Lower bound of the 90 % interval of the accuracy
            that labels of all rows will show, if the rule is as in training
        expected_accuracy_high     double        Upper bound of it
        expected_absolute_error    double        For regression: mean absolute error that the
            version expects, in the label's unit; needs no label, and cannot see a changed rule
        expected_absolute_error_low double       Lower bound of the 90 % interval of the mean
            absolute error that labels of all rows will show, if the rule is as in training
        expected_absolute_error_high double      Upper bound of it
        n_labelled, label_coverage, is_final, in_training_window, as_of, as_of_version, window_date
    """),
    partition_by=("granularity", "window_date"),
    append_only=False,
    from_driver=True,
    takes_columns=True,
    version=3,
)

DRIFT_METRICS = Table(
    "gold",
    "drift_metrics",
    "A window × granularity × reference × slice × model version × column",
    (
        "window",
        "granularity",
        "drift_type",
        "slice_key",
        "slice_value",
        "model_version",
        "column_name",
    ),
    _columns(f"""
        window                     {_WINDOW}          Event-time window
        granularity, monitor_version, slice_key, slice_value, column_name, data_type
        window_cmp                 {_WINDOW}          Window compared with; NULL for baselines
        drift_type                 string             CONSECUTIVE: the window before, BASELINE:
            training data, BASELINE_TABLE: the fixed one
        count_delta                bigint             Difference of counts
        avg_delta                  double             Difference of means
        percent_null_delta         double             Difference of null shares, in points
        percent_zeros_delta        double             Difference of zero shares, in points
        percent_distinct_delta     double             Difference of distinct shares, in points
        non_null_columns_delta     struct<added:int,missing:int> Columns that came and went; for
            :table
        js_distance                double             Jensen-Shannon distance; categorical columns
        ks_test                    {_TEST}            Kolmogorov-Smirnov, from the bins; numeric
            columns
        wasserstein_distance       double             Wasserstein distance; numeric columns
        population_stability_index double             PSI over the baseline's bins; numeric columns
        chi_squared_test           {_TEST}            Chi-squared test of homogeneity; categorical
            columns
        tv_distance                double             Total variation distance; categorical columns
        l_infinity_distance        double             Greatest difference of a share; categorical
            columns
        model_version
        hellinger_distance         double             Hellinger distance, over bins or categories
        kl_divergence              double             Kullback-Leibler divergence from the
            reference, nats, over bins or categories
        mann_whitney_test          {_TEST}            Mann-Whitney U, two-sided; numeric columns
        levene_test                {_TEST}            Brown-Forsythe test of equal spread; numeric
            columns
        adjusted_pvalue            double             P-value of KS or chi-squared, adjusted for
            the columns tested at once
        n_labelled, label_coverage, is_final, in_training_window, as_of, as_of_version, window_date
    """),
    partition_by=("granularity", "window_date"),
    append_only=False,
    from_driver=True,
    takes_columns=True,
    version=2,
)

MONITOR = Table(
    "gold",
    "monitor",
    "A configuration of the metrics; another one is another version",
    ("monitor_version",),
    columns("""
        monitor_version bigint    As rows of the facts and of the metric tables name it
        configuration   string    What is measured, as JSON: windows, columns, bins, slices, custom
            metrics
        baseline        string    Profile of the fixed baseline table, as JSON; NULL where none is
            named
        recorded_at     timestamp Wall-clock time of its first use
    """),
    from_driver=True,
)

COUNTERFACTUAL = Table(
    "gold",
    "counterfactual",
    "A day of labelled predictions × alternative to the loop: what would have been right, and what "
    "it would have cost",
    ("window_date", "alternative"),
    columns("""
        window_date       date      Day of the events, UTC
        alternative       string    never: the first promoted model stays; daily: one is trained
            each midnight on the newest labels
        n_labelled        bigint    Predictions whose label has come, in windows that no model was
            trained on
        n_right           bigint    Those of them that the models in production got right
        n_right_otherwise bigint    Those that the alternative gets right; NULL if that is not
            known
        trainings         bigint    Trainings of the alternative at the midnight before
        trained_rows      bigint    Rows that it was trained on there
        training_seconds  double    Wall-clock time of that fit, without tuning or judging
        as_of             timestamp Newest label time that was known of when the row was computed
    """),
    partition_by=("window_date",),
    append_only=False,
    from_driver=True,
)

DECISION = Table(
    "gold",
    "decision",
    "An as-of (newest label batch) × action: what was decided, by which rule, with which figures",
    ("as_of", "action"),
    columns("""
        as_of           timestamp          Newest label time that had landed
        model_version   string             Champion when it was decided; NULL before the first
        action          string             wait, train_first, keep, retrain, refresh or blind
            (labels are overdue)
        retrain         boolean            Whether a new model is to be trained
        rule            string             Rule that decided
        reasons         array<string>      The decision in words
        evidence        map<string,double> Figures that it rests on
        change_at       timestamp          When the change began, by the evidence; NULL if none is
            seen
        change_between  struct<from:timestamp,to:timestamp> 90 % credible interval of that
        confidence      double             Probability that the rule has changed, one change in
            10,000 rows expected
        drift_kind      array<string>      What has drifted: concept, feature, label, prediction;
            causes first
        region          array<string>      Where new labels contradict the champion, in words
        advice          string             What to do about it, besides what the loop does by
            itself
        table_versions  map<string,bigint> Delta versions read
        decided_at      timestamp          Wall-clock time
        gate_confidence double             P(challenger better) that the gate asks for; NULL in
            rows before 0.3
        read_from       timestamp          Start of the windows that were read; NULL where all were,
            and in rows before 0.3
    """),
    from_driver=True,
    version=4,
)
PROMOTION = Table(
    "gold",
    "promotion",
    "A verdict on a challenger, or a rollback",
    ("as_of", "action", "recorded_at"),
    columns(f"""
        as_of          timestamp          Newest label time that had landed
        action         string             promote, refuse, pending (it passed, and waits for a
            person), rollout (it passed, and is rolled out) or rollback
        who            string             The loop, or the person who did it
        recorded_at    timestamp          Wall-clock time
        from_version   string             Champion before; NULL for the first
        to_version     string             Version promoted, refused or gone back to
        reason         string             Why, in words
        evidence       map<string,double> Figures that it rests on
        trained_from   timestamp          Event time of the first row that the version was trained
            on
        trained_to     timestamp          Event time of the last one
        trained_rows   bigint             How many they were
        changed_at     timestamp          Change point that the version was trained from; NULL if
            none
        model_sha256   string             Digest of the model file; verified before each load
        table_versions map<string,bigint> Delta versions read
        policy_record  string             What the policy knows of the promoted version from now
            on, as JSON
        run_id         string             MLflow run of the training: its files are found by it,
            whatever the registry says
        meaning        string             Classes by their codes, and features by name, that the
            version was trained with, JSON
        differences    {_DIFFERENCES}
            What the challenger calls otherwise than the champion on the rows that the gate
            compared on: all rows first, with a region of NULL, then up to four regions
        rollout_id     string             Rollout that it began, or that ended so; NULL for none
        checks         {_CHECKS}
            Tests of the challenger beside the gate: what each found, and whether nothing is
            promoted without it; NULL in rows that judge nothing, and of an older release
    """),
    from_driver=True,
    version=6,
)


def metric_tables(model: ModelSettings) -> tuple[Table, Table]:
    """A model's profile and drift metrics, with its model id column and its custom metrics.

    Raises:
        ConfigurationError: one of its metrics has the name of a column.
    """
    name = model.metrics.model_id_column
    profile, drift = _with_model_id(PROFILE_METRICS, name), _with_model_id(DRIFT_METRICS, name)
    of_profile, of_drift = custom_columns(model.metrics.custom, profile, drift)
    return (
        replace(profile, columns=profile.columns + of_profile),
        replace(drift, columns=drift.columns + of_drift),
    )


def _with_model_id(table: Table, name: str) -> Table:
    return replace(
        table,
        keys=tuple(name if key == MODEL_ID else key for key in table.keys),
        columns=tuple(
            replace(column, name=name) if column.name == MODEL_ID else column
            for column in table.columns
        ),
    )
