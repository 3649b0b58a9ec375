"""What NannyML expects of windows without labels; `expected_accuracy.py` starts it in its
environment.

It reads pairs of files, the labelled reference and a window, and prints a JSON list with an
estimate of each window: CBPE's accuracy of classes, DLE's mean absolute error of numbers.
"""

import json
import sys
import warnings
from pathlib import Path

import nannyml
import pandas as pd


def estimate(reference: pd.DataFrame, window: pd.DataFrame) -> float:
    """The estimate of a window, which is one chunk."""
    chunk = {"chunk_size": len(window), "y_pred": "prediction", "y_true": "label"}
    probabilities = [
        name for name in reference.columns if name.startswith("p") and name[1:].isdigit()
    ]
    if not probabilities:
        estimator = nannyml.DLE(["x0", "x1", "x2"], metrics=["mae"], **chunk)
        column = "mae"
    else:
        is_binary = len(probabilities) == 2
        by_class = {code: f"p{code}" for code in range(len(probabilities))}
        estimator = nannyml.CBPE(
            problem_type="classification_binary" if is_binary else "classification_multiclass",
            y_pred_proba="p1" if is_binary else by_class,
            metrics=["accuracy"],
            **chunk,
        )
        column = "accuracy"
    estimator.fit(reference)
    found = estimator.estimate(window.drop(columns="label")).filter(period="analysis").to_df()
    return float(found[(column, "value")].iloc[0])


def main(folder: Path) -> None:
    """Prints the estimates, in the order of the files' names."""
    windows = sorted(folder.glob("*-window.csv"))
    frames = [
        [pd.read_csv(str(path).replace("-window", kind)) for kind in ("-reference", "-window")]
        for path in windows
    ]
    print(json.dumps([estimate(*pair) for pair in frames]))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
