"""Does the accuracy that a version expects of itself hold, once the labels are there?

Streams of independent rows: two classes, three classes, numbers. Of each stream a model is
cross-fitted and fitted as a training does it, its record is made by `record_of`, and it predicts
windows of new rows: of the same kind, of rows that are harder for it, and of rows whose rule has
changed. Asked of each window: is the accuracy (numbers: the mean absolute error, too) within the 90
% interval that was told without labels? How far from it is the expectation? And is a difference
stated, once all labels are there?

    PYTHONPATH=. python -m tests.benchmarks.expected_accuracy [STREAMS [PYTHON]]

Peer: nannyml 0.13.1, CBPE for classes and DLE for numbers, by its public interface in an
environment of its own, whose interpreter is the second argument. Its reference are the same
cross-fitted rows, its chunks the same windows. It has no predictive interval: its confidence
bounds are three standard errors of a chunk's sampling about its estimate.

    python -m venv /tmp/nannyml && /tmp/nannyml/bin/pip install nannyml==0.13.1 statsmodels
    "pandas<3"

The tables that it printed on 2026-12-01 of five streams are in docs/statistics.md, "What a version
expects of itself, before labels come".
"""

import itertools
import json
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lakehouse.models import Classification, MatrixLearner, Problem, Regression, Trial
from lakehouse.models.expected_error.expected_quality import (
    ErrorRates,
    ExpectedQuality,
    difference,
    expected_metrics,
)
from lakehouse.models.expected_error.spline_logistic import bins_of
from lakehouse.retraining.absolute_errors import absolute_errors_of
from lakehouse.retraining.policy.candidates.choice import (
    FOLDS,
    Candidate,
    Fitted,
    cross_fit,
    fold_of,
)
from lakehouse.retraining.policy.decide import TRAIN_FIRST, Decision
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.retraining.policy.records import Rows
from lakehouse.retraining.policy.version import record_of

NAMES = ("x0", "x1", "x2")
START = np.datetime64("2024-03-01T00:00:00", "us")
PROBLEMS: dict[str, Problem] = {
    "two classes": Classification((0, 1), 1),
    "three classes": Classification((0, 1, 2), 2),
    "numbers": Regression(1.0),
}
FAMILIES = {
    True: ("logistic_regression", "decision_tree", "hist_gradient_boosting"),
    False: ("ridge_regression", "decision_tree", "hist_gradient_boosting"),
}
PARAMETERS = {
    "decision_tree": {"max_depth": 6},
    "hist_gradient_boosting": {"max_iter": 20, "max_leaf_nodes": 8},
}
TRAINED, WINDOWS = (300, 1000, 3000), (30, 200, 2000)
KINDS = ("the same", "harder rows", "a changed rule")
OF_A_SIZE = 4
"""Windows of each kind and size in a stream."""
MOST_ASKED = 20
"""Windows of a problem, family and kind that the peer is asked about."""


@dataclass(frozen=True)
class Version:
    """A trained model, what it expects, and the rows that it was cross-fitted on."""

    learner: MatrixLearner
    model: Any
    record: PolicyRecord
    expects: ExpectedQuality
    rows: Rows
    fitted: Fitted

    @cached_property
    def probabilities(self) -> np.ndarray | None:
        """Of each training row by a model that has not seen it; None of numbers."""
        rows = self.rows
        if isinstance(rows.problem, Regression):
            return None
        fold, found = (
            fold_of(np.ones(len(rows), dtype=bool)),
            np.zeros((len(rows), len(rows.problem.classes))),
        )
        for out in range(FOLDS):
            own, others = fold == out, fold != out
            weights = np.ones(int(others.sum()))
            model = self.learner(rows.features[others], rows.labels[others], weights)
            found[np.ix_(own, model.classes_)] = model.predict_proba(rows.features[own])
        return found


class Window(NamedTuple):
    """One window after its labels came; `figure` is accuracy, or mean absolute error."""

    problem: str
    family: str
    trained: int
    kind: str
    rows: int
    figure: str
    true: float
    expected: float
    low: float
    high: float
    is_stated: bool


def drawn(rng: np.random.Generator, problem: Problem, n: int, kind: str) -> Rows:
    """Rows of a stream; harder ones lie near the border, or have noisier numbers."""
    x = rng.normal(size=(n, 3))
    if kind == "harder rows":
        x[:, 0] *= 0.4
        x[:, 2] *= 1.6
    # Where the rule has changed it says the opposite for one row in seven.
    is_changed = (kind == "a changed rule") & (x[:, 1] > 1.07)
    if isinstance(problem, Regression):
        noise = (0.3 + 0.4 * np.abs(x[:, 2])) * rng.standard_t(5, size=n)
        labels: np.ndarray = 2 * x[:, 0] + np.sin(2 * x[:, 1]) + noise + 2.0 * is_changed
    else:
        slope = 3 * (x[:, 0] + 0.5 * x[:, 1] * x[:, 2])
        logits = np.stack([-slope, slope, 1.5 * x[:, 1]], axis=1)[:, : len(problem.classes)]
        labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
        labels = np.where(is_changed, (labels + 1) % len(problem.classes), labels)
    moments = START + np.arange(n) * np.timedelta64(1, "m")
    return Rows(NAMES, x, labels, moments, moments, problem)


def trained(rng: np.random.Generator, problem: Problem, family: str, n: int) -> Version:
    """A first model, as a training gives it."""
    rows = drawn(rng, problem, n, "the same")
    learner = MatrixLearner(Trial("", family, PARAMETERS.get(family, {})), problem, 0)
    fitted = cross_fit(Candidate("everything"), rows, np.ones(n, dtype=bool), {}, learner)
    assert fitted is not None
    decision = Decision(TRAIN_FIRST, "first_model", ("",))
    version = record_of(1, fitted, decision, START, rows, None)
    record = PolicyRecord(version, NAMES, "everything")
    rates = ErrorRates.of_record(record.to_json())
    expects = ExpectedQuality(rates, absolute_errors_of(record, fitted, rows))
    model = learner(rows.features, rows.labels, np.ones(n))
    return Version(learner, model, record, expects, rows, fitted)


def judged(version: Version, rows: Rows) -> Iterator[tuple[str, float, dict[str, Any], bool]]:
    """Each figure of a window: its name, its true value, the expected ones, is a difference
    stated.
    """
    predicted = np.asarray(version.model.predict(rows.features))
    wrong = rows.wrong(predicted)
    kinds = rows.problem.kind_of(predicted)
    places = bins_of(version.record.version.expected_error, rows.features, kinds)
    counts = {
        int(place): (int((places == place).sum()), int(wrong[places == place].sum()))
        for place in np.unique(places)
    }
    by_bin = {("1", place): labelled for place, (labelled, _) in counts.items()}
    found = expected_metrics(by_bin, len(rows), {"1": version.expects})
    told = difference(counts, version.expects.rates)
    assert told is not None
    yield "accuracy", 1 - float(wrong.mean()), found, told.is_beyond_chance
    if isinstance(rows.problem, Regression):
        error = float(np.abs(predicted - rows.labels).mean())
        yield "absolute_error", error, found, False


def windows(streams: int) -> Iterator[tuple[Window, Version, Rows]]:
    """Each figure of all windows of all streams, with the version and the window's rows."""
    for name, problem in PROBLEMS.items():
        for family in FAMILIES[isinstance(problem, Classification)]:
            for n, seed in itertools.product(TRAINED, range(streams)):
                rng = np.random.default_rng([seed, n, len(name), len(family)])
                version = trained(rng, problem, family, n)
                for kind, size in itertools.product(KINDS, WINDOWS):
                    for _ in range(OF_A_SIZE):
                        rows = drawn(rng, problem, size, kind)
                        for figure, true, found, is_stated in judged(version, rows):
                            column = f"expected_{figure}"
                            low, high = found[f"{column}_low"], found[f"{column}_high"]
                            expected = (found[column], low, high)
                            place = (name, family, n, kind, size, figure)
                            yield Window(*place, true, *expected, is_stated), version, rows


def coverage_table(found: pd.DataFrame) -> str:
    """Share of windows whose true figure is within the interval."""
    is_held = (found.low <= found.true + 1e-12) & (found.true - 1e-12 <= found.high)
    by_cell = found.assign(held=is_held).groupby(["problem", "figure", "kind", "rows"], sort=False)
    table = by_cell.held.mean().unstack("rows")
    lines = ["| problem, figure | kind of rows | 30 rows | 200 rows | 2000 rows |"]
    lines.append("|---|---|---|---|---|")
    for (problem, figure, kind), shares in table.iterrows():
        cells = " | ".join(f"{share:.1%}" for share in shares)
        lines.append(f"| {problem}, {figure} | {kind} | {cells} |")
    return "\n".join(lines)


def reliability_table(found: pd.DataFrame) -> str:
    """Mean expected and mean true accuracy of windows without a changed rule, by the expected."""
    kept = found[(found.figure == "accuracy") & (found.kind != KINDS[2])]
    kept = kept.assign(tenth=np.minimum((kept.expected * 20).astype(int), 19) / 20)
    lines = ["| expected | windows | rows | mean expected | mean true |", "|---|---|---|---|---|"]
    for tenth, each in kept.groupby("tenth"):
        expected, true = (
            np.average(values, weights=each.rows) for values in (each.expected, each.true)
        )
        lines.append(
            f"| {tenth:.2f}-{tenth + 0.05:.2f} | {len(each):,} | {each.rows.sum():,} "
            f"| {expected:.4f} | {true:.4f} |"
        )
    return "\n".join(lines)


def stated_table(found: pd.DataFrame) -> str:
    """Share of windows of which a difference is stated, once all labels are there."""
    kept = found[found.figure == "accuracy"]
    table = kept.groupby(["problem", "kind", "rows"], sort=False).is_stated.mean().unstack("rows")
    lines = ["| problem | kind of rows | 30 rows | 200 rows | 2000 rows |", "|---|---|---|---|---|"]
    for (problem, kind), shares in table.iterrows():
        lines.append(f"| {problem} | {kind} | {' | '.join(f'{each:.1%}' for each in shares)} |")
    return "\n".join(lines)


# The peer


def written(folder: Path, told: Window, version: Version, rows: Rows) -> None:
    """Write what the peer is asked: the reference and the window, as CSV."""
    is_number = isinstance(rows.problem, Regression)
    probabilities = None if is_number else version.model.predict_proba(rows.features)
    predicted = np.asarray(version.model.predict(rows.features))
    place = folder / f"{len(list(folder.glob('*-window.csv'))):05d}"
    reference = _frame(version.rows, version.fitted.predictions, version.probabilities)
    reference.to_csv(f"{place}-reference.csv", index=False)
    _frame(rows, predicted, probabilities).to_csv(f"{place}-window.csv", index=False)


def _frame(rows: Rows, predicted: np.ndarray, probabilities: np.ndarray | None) -> pd.DataFrame:
    columns: dict[str, Any] = dict(zip(NAMES, rows.features.T, strict=True))
    columns |= {"prediction": predicted, "label": rows.labels}
    if probabilities is not None:
        columns |= {f"p{code}": each for code, each in enumerate(probabilities.T)}
    return pd.DataFrame(columns)


def peer_table(asked: list[Window], estimates: list[float]) -> str:
    """Mean distance of the expectation from what labels show, ours and the peer's."""
    found = pd.DataFrame(asked).assign(peer=estimates)
    ours, theirs = ((each - found.true).abs() for each in (found.expected, found.peer))
    bias = found.peer - found.true
    found = found.assign(ours=ours, theirs=theirs, bias=found.expected - found.true, peer_bias=bias)
    columns = ["ours", "theirs", "bias", "peer_bias"]
    table = found.groupby(["problem", "figure", "kind"], sort=False)[columns].mean()
    lines = ["| problem, figure | kind of rows | ours | NannyML | our bias | NannyML's bias |"]
    lines.append("|---|---|---|---|---|---|")
    for (problem, figure, kind), row in table.iterrows():
        off = " | ".join(f"{row[name]:.4f}" for name in columns[:2])
        biases = " | ".join(f"{row[name]:+.4f}" for name in columns[2:])
        lines.append(f"| {problem}, {figure} | {kind} | {off} | {biases} |")
    return "\n".join(lines)


def main(streams: int, python: str | None) -> None:
    """Prints the tables."""
    told, asked, counted = [], [], Counter[tuple[str, ...]]()
    with tempfile.TemporaryDirectory() as folder:
        for window, version, rows in windows(streams):
            told.append(window)
            figure = "absolute_error" if window.problem == "numbers" else "accuracy"
            is_asked = (window.trained, window.rows, window.figure) == (1000, 200, figure)
            place = (window.problem, window.family, window.kind)
            if python and is_asked and counted[place] < MOST_ASKED:
                counted[place] += 1
                asked.append(window)
                written(Path(folder), window, version, rows)
        found = pd.DataFrame(told)
        for table in (coverage_table, reliability_table, stated_table):
            print(f"{table(found)}\n", flush=True)
        if python:
            script = Path(__file__).with_name("nannyml_estimates.py")
            command = [python, str(script), folder]
            quiet = {"NML_DISABLE_USAGE_LOGGING": "1", "LOKY_MAX_CPU_COUNT": "1"}
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=quiet)
            print(peer_table(asked, json.loads(done.stdout.splitlines()[-1])))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2] if len(sys.argv) > 2 else None)
