"""Do Evidently and NannyML say the same as our tables of the same rows, and where not, why?

Peers: evidently 0.7.23 and nannyml 0.13.1, each by its public interface in an environment of its
own (both need pandas
below 3, and nannyml statsmodels, which its wheel does not ask for):

    python -m venv /tmp/evidently && /tmp/evidently/bin/pip install evidently==0.7.23 "pandas<3"
    python -m venv /tmp/nannyml && /tmp/nannyml/bin/pip install nannyml==0.13.1 statsmodels
    "pandas<3" python tests/benchmarks/peers.py /tmp/evidently/bin/python /tmp/nannyml/bin/python

Rows: data sets that come with scikit-learn, cut in two where they drift. Each difference is
explained by computing the
peer's figure again from the raw rows, by what the explanation says; a figure that this does not
give is "unexplained", and ends the script with exit code 1. Printed on 2026-11-21:

    76 figures: 45 equal, 31 explained, 0 unexplained

The table that it prints is in docs/statistics.md.
"""

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn import datasets, metrics
from sklearn.linear_model import LinearRegression, LogisticRegression

NUMERIC, CATEGORICAL = ("radius", "pixel"), ("diagnosis", "wine")
SHARE_FLOOR = 1e-4
EVIDENTLY_NUMERIC = ("ks", "wasserstein", "psi", "kl_div", "jensenshannon", "hellinger", "mannw")
EVIDENTLY_CATEGORICAL = ("chisquare", "psi", "kl_div", "jensenshannon", "hellinger", "TVD")
EVIDENTLY_VALUES = {
    "MeanValue": "avg",
    "StdValue": "stddev",
    "MinValue": "min",
    "MaxValue": "max",
    "MedianValue": "median",
}
NANNYML_NUMERIC = ("kolmogorov_smirnov", "jensen_shannon", "wasserstein", "hellinger")
NANNYML_CATEGORICAL = ("chi2", "jensen_shannon", "l_infinity", "hellinger")
CLASSIFIED = ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss")
REGRESSED = ("mae", "rmse", "mape", "r2")


class Claim(NamedTuple):
    """One figure: ours, and how the peer's follows from the raw rows."""

    peer: str
    rows: str
    figure: str
    ours: float | None
    theirs: float
    why: str


# The rows


def samples() -> dict[str, tuple[pd.Series, pd.Series]]:
    """Reference and current values of each column."""
    loaders = (datasets.load_breast_cancer, datasets.load_digits, datasets.load_wine)
    cancer, digits, wine = (load(as_frame=True) for load in loaders)
    diagnosis = cancer.target.map({0: "malignant", 1: "benign"})
    cut = {
        "radius": (cancer.data["mean radius"], 300, 300),
        "pixel": (digits.data["pixel_3_3"].astype(int), 400, 400),
        "diagnosis": (diagnosis, 300, 300),
        "wine": (wine.target.map(lambda kind: wine.target_names[kind]), 130, 78),
    }
    return {name: (column[:end], column[start:]) for name, (column, end, start) in cut.items()}


def classified() -> pd.DataFrame:
    """Labels, predictions and scores of a logistic regression on rows that it was not fitted on."""
    cancer = datasets.load_breast_cancer(as_frame=True)
    features, labels = (
        cancer.data[["mean texture", "mean smoothness", "mean radius"]],
        cancer.target,
    )
    model = LogisticRegression(max_iter=5000).fit(features[:300], labels[:300])
    rows = features[300:]
    score = model.predict_proba(rows)[:, 1]
    return pd.DataFrame({"label": labels[300:], "prediction": model.predict(rows), "score": score})


def regressed() -> pd.DataFrame:
    """Labels and predictions of a linear regression on rows that it was not fitted on."""
    diabetes = datasets.load_diabetes(as_frame=True)
    model = LinearRegression().fit(diabetes.data[:300], diabetes.target[:300])
    return pd.DataFrame(
        {"label": diabetes.target[300:], "prediction": model.predict(diabetes.data[300:])}
    )


# The peers, each in its own environment


def run_peer(name: str, python: str) -> dict[str, float]:
    """The peer's figures by `rows/figure`."""
    with tempfile.TemporaryDirectory() as folder:
        for column, sides in samples().items():
            for side, values in zip(("reference", "current"), sides, strict=True):
                values.rename(column).to_csv(Path(folder) / f"{column}.{side}.csv", index=False)
        classified().to_csv(Path(folder) / "classified.csv", index=False)
        regressed().to_csv(Path(folder) / "regressed.csv", index=False)
        command = [python, "-W", "ignore", __file__, f"--{name}", folder]
        found = subprocess.run(command, check=True, capture_output=True, text=True)
        return {
            name: float(value) for name, value in json.loads(found.stdout.splitlines()[-1]).items()
        }


def read_rows(folder: str, name: str) -> pd.DataFrame:
    return pd.read_csv(Path(folder) / f"{name}.csv")


def evidently_figures(folder: str) -> dict[str, float]:
    import evidently.metrics as library
    from evidently import BinaryClassification, DataDefinition, Dataset, Regression, Report

    def values(
        metrics_: list[Any], definition: Any, current: pd.DataFrame, reference: pd.DataFrame | None
    ) -> list[float]:
        sides = [
            None if side is None else Dataset.from_pandas(side, definition)
            for side in (current, reference)
        ]
        found = [each["value"] for each in Report(metrics_).run(*sides).dict()["metrics"]]
        return [value["mean"] if isinstance(value, dict) else value for value in found]

    figures = {}
    for column in NUMERIC + CATEGORICAL:
        kind = "numerical_columns" if column in NUMERIC else "categorical_columns"
        methods = EVIDENTLY_NUMERIC if column in NUMERIC else EVIDENTLY_CATEGORICAL
        asked = [library.ValueDrift(column=column, method=method) for method in methods]
        names = list(methods)
        if column in NUMERIC:
            asked += [getattr(library, name)(column=column) for name in EVIDENTLY_VALUES]
            names += EVIDENTLY_VALUES.values()
        sides = [read_rows(folder, f"{column}.{side}") for side in ("current", "reference")]
        found = values(asked, DataDefinition(**{kind: [column]}), *sides)
        figures |= {f"{column}/{name}": value for name, value in zip(names, found, strict=True)}
    columns = {
        "target": "label",
        "prediction_labels": "prediction",
        "prediction_probas": "score",
        "pos_label": 1,
    }
    judged = DataDefinition(classification=[BinaryClassification(**columns)])
    asked = [
        getattr(library, name)()
        for name in ("Accuracy", "Precision", "Recall", "F1Score", "RocAuc", "LogLoss")
    ]
    found = values(asked, judged, read_rows(folder, "classified"), None)
    figures |= {f"classified/{name}": value for name, value in zip(CLASSIFIED, found, strict=True)}
    measured = DataDefinition(regression=[Regression(target="label", prediction="prediction")])
    asked = [getattr(library, name)() for name in ("MAE", "RMSE", "MAPE", "R2Score")]
    found = values(asked, measured, read_rows(folder, "regressed"), None)
    return figures | {
        f"regressed/{name}": value for name, value in zip(REGRESSED, found, strict=True)
    }


def nannyml_figures(folder: str) -> dict[str, float]:
    import nannyml

    def analysed(calculator: Any, reference: pd.DataFrame, current: pd.DataFrame) -> pd.DataFrame:
        return calculator.fit(reference).calculate(current).filter(period="analysis").to_df()

    figures = {}
    for column in NUMERIC + CATEGORICAL:
        reference, current = (
            read_rows(folder, f"{column}.{side}") for side in ("reference", "current")
        )
        methods = NANNYML_NUMERIC if column in NUMERIC else NANNYML_CATEGORICAL
        drift = nannyml.UnivariateDriftCalculator(
            column_names=[column],
            treat_as_categorical=[column] if column in CATEGORICAL else None,
            treat_as_numerical=[column] if column in NUMERIC else None,
            continuous_methods=list(NANNYML_NUMERIC),
            categorical_methods=list(NANNYML_CATEGORICAL),
            chunk_size=len(current),
        )
        found = analysed(drift, reference, current)
        figures |= {
            f"{column}/{method}": found[column, method, "value"].iloc[0] for method in methods
        }
        for name in ("Avg", "Std", "Median") if column in NUMERIC else ():
            summary = getattr(nannyml, f"SummaryStats{name}Calculator")(
                column_names=[column], chunk_size=len(current)
            )
            figures[f"{column}/{name}"] = analysed(summary, reference, current)[
                column, "value"
            ].iloc[0]
    for name, asked in (("classified", CLASSIFIED[:-1]), ("regressed", REGRESSED[:-1])):
        rows = read_rows(folder, name)
        judge = nannyml.PerformanceCalculator(
            metrics=list(asked),
            y_true="label",
            y_pred="prediction",
            y_pred_proba="score" if name == "classified" else None,
            problem_type="classification_binary" if name == "classified" else "regression",
            chunk_size=len(rows),
        )
        found = analysed(judge, rows, rows)
        figures |= {f"{name}/{each}": found[each, "value"].iloc[0] for each in asked}
    return figures


# Ours, and what the explanations say


def ours_of(name: str, reference: pd.Series, current: pd.Series) -> dict[str, Any]:
    from lakehouse.drift.comparison import drift_of
    from lakehouse.profiling.bins import quantile_edges
    from lakehouse.profiling.profile import ColumnProfile, ColumnSpec, statistics_of

    numeric = name in NUMERIC
    kind = {"radius": "double", "pixel": "long"}.get(name, "string")
    spec = ColumnSpec(name, kind, "numeric" if numeric else "categorical")
    edges = quantile_edges(reference.to_numpy()) if numeric else None
    profiles = [ColumnProfile.of(side, spec, edges) for side in (current, reference)]
    return {**statistics_of(profiles[0]), **drift_of(*profiles)}


def numeric_claims(name: str, reference: np.ndarray, current: np.ndarray) -> list[Claim]:
    ours = ours_of(name, pd.Series(reference), pd.Series(current))
    few = len(np.unique(reference)) <= 20
    p, q = (
        by_value(current, reference)
        if few
        else histograms(current, reference, np.concatenate([reference, current]))
    )
    bins = "one bin per value" if few else "bins of equal width (Sturges) over both samples"
    floored_p, floored_q = evidently_floor(p), evidently_floor(q)
    h_p, h_q = histograms(current, reference, np.union1d(reference, current))
    d_p, d_q = with_leftover(*histograms(current, reference, reference, "doane"))
    distance = stats.wasserstein_distance(reference, current)
    one_sided = stats.mannwhitneyu(reference, current, alternative="less").pvalue
    psi, kl = psi_of(floored_p, floored_q), stats.entropy(floored_q, floored_p)
    doane = "bins of equal width (Doane) over the reference, values outside them in one bin more"
    test = ours["ks_test"]
    evidently = [
        (
            "ks",
            test["pvalue"],
            stats.ks_2samp(reference, current).pvalue,
            "from raw values; ours from bins",
        ),
        (
            "wasserstein",
            ours["wasserstein_distance"],
            distance / np.std(reference),
            "over the reference's deviation",
        ),
        ("psi", ours["population_stability_index"], psi, bins),
        (
            "kl_div",
            ours["kl_divergence"],
            kl,
            f"{bins}; of the reference from the current rows, ours the reverse",
        ),
        (
            "jensenshannon",
            ours["js_distance"],
            jensenshannon(p, q),
            f"{bins}; ours of categorical columns alone",
        ),
        (
            "hellinger",
            ours["hellinger_distance"],
            hellinger_of(h_p, h_q),
            "bins by Sturges's rule for distinct values",
        ),
        (
            "mannw",
            ours["mann_whitney_test"]["pvalue"],
            one_sided,
            "one-sided (reference below current), ours two-sided",
        ),
    ]
    evidently += [(column, ours[column], ours[column], "") for column in EVIDENTLY_VALUES.values()]
    nannyml = [
        (
            "kolmogorov_smirnov",
            test["statistic"],
            stats.ks_2samp(reference, current).statistic,
            "from raw values; ours from bins",
        ),
        (
            "jensen_shannon",
            ours["js_distance"],
            jensenshannon(d_q, d_p, 2),
            f"{doane}; base 2; ours of categorical columns alone",
        ),
        ("wasserstein", ours["wasserstein_distance"], distance, ""),
        ("hellinger", ours["hellinger_distance"], hellinger_of(d_p, d_q), doane),
        ("Avg", ours["avg"], np.mean(current), ""),
        ("Std", ours["stddev"], np.std(current, ddof=1), ""),
        ("Median", ours["median"], np.median(current), ""),
    ]
    return _claims(name, evidently, nannyml)


def categorical_claims(name: str, reference: np.ndarray, current: np.ndarray) -> list[Claim]:
    ours = ours_of(name, pd.Series(reference), pd.Series(current))
    p, q = by_value(current, reference)
    n, m = len(current), len(reference)
    floored_p, floored_q = evidently_floor(p), evidently_floor(q)
    with np.errstate(divide="ignore", invalid="ignore"):
        fit = stats.chi2.sf(np.nansum((p - q) ** 2 * n / q), len(p) - 1)
    table = np.rint([q * m, p * n])
    yates = (
        "with Yates's correction, which two by two tables get; ours without" if len(p) == 2 else ""
    )
    permuted = tvd_pvalue(reference, current)
    evidently = [
        (
            "chisquare",
            ours["chi_squared_test"]["pvalue"],
            fit,
            "goodness of fit to the reference's shares, taken as known without error; ours of two "
            "samples",
        ),
        (
            "psi",
            ours["population_stability_index"],
            psi_of(floored_p, floored_q),
            "ours of numeric columns alone",
        ),
        (
            "kl_div",
            ours["kl_divergence"],
            stats.entropy(floored_q, floored_p),
            "of the reference from the current rows, ours the reverse",
        ),
        ("jensenshannon", ours["js_distance"], jensenshannon(p, q), ""),
        ("hellinger", ours["hellinger_distance"], hellinger_of(p, q), ""),
        (
            "TVD",
            ours["tv_distance"],
            permuted,
            "the p-value of 1000 permutations, ours the distance",
        ),
    ]
    nannyml = [
        (
            "chi2",
            ours["chi_squared_test"]["statistic"],
            stats.chi2_contingency(table).statistic,
            yates,
        ),
        (
            "jensen_shannon",
            ours["js_distance"],
            jensenshannon(p, q, 2),
            "base 2, ours natural: times 1 / sqrt(ln 2)",
        ),
        ("l_infinity", ours["l_infinity_distance"], np.abs(p - q).max(), ""),
        ("hellinger", ours["hellinger_distance"], hellinger_of(p, q), ""),
    ]
    return _claims(name, evidently, nannyml)


def quality_claims() -> list[Claim]:
    from lakehouse.quality.classification import QualityFacts
    from lakehouse.quality.facts import quality_metrics
    from lakehouse.quality.regression import RegressionFacts

    rows = classified()
    scores = np.column_stack([1 - rows["score"], rows["score"]])
    found = quality_metrics(QualityFacts.of(rows["prediction"], rows["label"], scores, [0, 1]))
    ours = [
        found["accuracy_score"],
        *(found[name]["one_vs_all"]["1"] for name in ("precision", "recall", "f1_score")),
    ]
    auc = metrics.roc_auc_score(rows["label"], rows["score"])
    exact = [*ours, auc, found["log_loss"]]
    why = [
        "",
        *["of the positive class; ours under one_vs_all"] * 3,
        "from raw scores; ours from bins of log odds",
        "",
    ]
    judged = list(
        zip(CLASSIFIED, [*ours, found["roc_auc_score"], found["log_loss"]], exact, why, strict=True)
    )
    rows = regressed()
    found = quality_metrics(RegressionFacts.of(rows["prediction"], rows["label"], 10.0))
    names = (
        "mean_average_error",
        "root_mean_squared_error",
        "mean_absolute_percentage_error",
        "r2_score",
    )
    ours = [found[name] for name in names]
    measured = [(name, value, value, "") for name, value in zip(REGRESSED, ours, strict=True)]
    percent = [
        (n, v, 100 * v if n == "mape" else v, "in percent" if n == "mape" else "")
        for n, v, *_ in measured
    ]
    return _claims("classified", judged, judged[:-1]) + _claims("regressed", percent, measured[:-1])


def _claims(rows: str, evidently: list[Any], nannyml: list[Any]) -> list[Claim]:
    both = {"evidently": evidently, "nannyml": nannyml}
    return [
        Claim(peer, rows, *each) for peer, figures in both.items() for each in _in_order(figures)
    ]


def _in_order(figures: list[Any]) -> list[tuple[str, float | None, float, str]]:
    return [(figure, ours, float(theirs), why) for figure, ours, theirs, why in figures]


def histograms(
    current: np.ndarray, reference: np.ndarray, over: np.ndarray, rule: str = "sturges"
) -> list[np.ndarray]:
    """Shares of both samples in bins of equal width."""
    edges = np.histogram_bin_edges(over.astype(float), bins=rule)
    return [np.histogram(side, edges)[0] / len(side) for side in (current, reference)]


def by_value(current: np.ndarray, reference: np.ndarray) -> list[np.ndarray]:
    """Shares of both samples for each value that either has."""
    values = np.unique(np.concatenate([current, reference]))
    return [np.array([(side == value).mean() for value in values]) for side in (current, reference)]


def evidently_floor(shares: np.ndarray) -> np.ndarray:
    least = shares[shares > 0].min()
    return np.where(shares == 0, least / 1e6 if least <= SHARE_FLOOR else SHARE_FLOOR, shares)


def with_leftover(p: np.ndarray, q: np.ndarray) -> list[np.ndarray]:
    rest = 1 - p.sum()
    return [np.append(p, rest), np.append(q, 0)] if rest > 0 else [p, q]


def psi_of(p: np.ndarray, q: np.ndarray) -> float:
    return float(((p - q) * np.log(p / q)).sum())


def hellinger_of(p: np.ndarray, q: np.ndarray) -> float:
    return float(np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum() / 2))


def tvd_pvalue(reference: np.ndarray, current: np.ndarray) -> float:
    """By permutations of our own, so to within their noise."""
    rng, both, n = np.random.default_rng(0), np.concatenate([reference, current]), len(reference)
    observed = np.abs(np.subtract(*by_value(current, reference))).sum()
    shuffled = (rng.permutation(both) for _ in range(1000))
    return float(
        np.mean(
            [
                np.abs(np.subtract(*by_value(rows[n:], rows[:n]))).sum() >= observed
                for rows in shuffled
            ]
        )
    )


# The table


def main(evidently: str, nannyml: str) -> int:
    """Prints each figure of either peer beside ours, with what makes the difference."""
    figures = {
        "evidently": run_peer("evidently", evidently),
        "nannyml": run_peer("nannyml", nannyml),
    }
    claims = quality_claims()
    for name, sides in samples().items():
        values = [side.to_numpy() for side in sides]
        claims += (numeric_claims if name in NUMERIC else categorical_claims)(name, *values)
    print("| rows | peer's figure | ours | theirs | why they differ |\n|---|---|---|---|---|")
    counts = {"equal": 0, "explained": 0, "unexplained": 0}
    for claim in sorted(claims, key=lambda each: (each.rows, each.peer)):
        theirs = figures[claim.peer].pop(f"{claim.rows}/{claim.figure}")
        verdict = verdict_on(claim, theirs)
        counts[verdict] += 1
        why = {
            "equal": "equal",
            "explained": claim.why,
            "unexplained": f"UNEXPLAINED: expected {claim.theirs:.6g}",
        }[verdict]
        ours = "–" if claim.ours is None else f"{claim.ours:.6g}"
        print(f"| {claim.rows} | {claim.peer} {claim.figure} | {ours} | {theirs:.6g} | {why} |")
    forgotten = [name for each in figures.values() for name in each]
    print(
        f"\n{sum(counts.values())} figures: "
        + ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    )
    return 1 if counts["unexplained"] or forgotten else 0


def verdict_on(claim: Claim, theirs: float) -> str:
    if claim.ours is not None and np.isclose(claim.ours, theirs, rtol=1e-9, atol=0):
        return "equal"
    noise = 0.05 if claim.figure == "TVD" else 1e-15
    return (
        "explained"
        if claim.why and np.isclose(claim.theirs, theirs, rtol=1e-6, atol=noise)
        else "unexplained"
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1].startswith("--"):
        told = {"--evidently": evidently_figures, "--nannyml": nannyml_figures}[sys.argv[1]](
            sys.argv[2]
        )
        print(json.dumps({name: float(value) for name, value in told.items()}))
    else:
        sys.exit(main(*sys.argv[1:]))
