"""Is a change still going on, and where will it have got to? What a sliding window is too late to
tell.
"""

import numpy as np

from lakehouse.retraining.policy.candidates.trend import fit_trend, trend_score
from lakehouse.retraining.policy.records import Moving, Rows

BEGINS, AGAIN, GOES_ON = 2.3, 1.5, 1.0
GIVES_UP = 0.97
_UNITS = 3
_DAMPING = 0.4
_LEAST_WRONG = 3
_FARTHEST = 0.75


def motion(rows: Rows, predictions: np.ndarray) -> float:
    """Return the evidence, as z, that predictions of some kind go wrong in more and more of the
    features' space.

    It is the greatest `trend_score` of "the prediction was wrong" over the kinds of predictions.

    Args:
        rows: since the change, which are looked at for a trend.
        predictions: what the model from before the change predicts for each.
    """
    wrong, kinds, age = rows.wrong(predictions), rows.problem.kind_of(predictions), _age(rows)
    scores = [
        trend_score(rows.features[kinds == code], wrong[kinds == code], age[kinds == code])
        for code in np.unique(kinds)
    ]
    return max(scores, default=0.0)


def moving_regions(
    rows: Rows, predictions: np.ndarray, forecast: bool = True
) -> tuple[Moving, ...]:
    """Return the regions in which the model from before the change is wrong, as of a little after
    the newest row, or as of that row.

    The trend is carried on for two fifths of the time by which labels lag behind: a damped forecast
    (Gardner and McKenzie, Management Science 31, 1985), since a change that stops is overshot by as
    much.

    Args:
        rows: since the change, which show the trend.
        predictions: what the model from before the change predicts for each.
        forecast: whether the trend is carried on.
    """
    if not len(rows):
        return ()
    age = _age(rows)
    lag = float((rows.label_time.max() - rows.event_time.max()) / _unit(rows))
    further = min(_DAMPING * lag, _FARTHEST) if forecast else 0.0
    found, every, kinds = [], rows.wrong(predictions), rows.problem.kind_of(predictions)
    for code in np.unique(kinds):
        predicted_in_production = kinds == code
        wrong = every[predicted_in_production]
        if wrong.sum() >= _LEAST_WRONG and not wrong.all():
            model = fit_trend(
                rows.features[predicted_in_production], wrong, age[predicted_in_production], further
            )
            found.append(Moving(rows.names, model, int(code)))
    return tuple(found)


def _unit(rows: Rows) -> np.timedelta64:
    """A third of the time that the rows span."""
    return max((rows.event_time.max() - rows.event_time.min()) / _UNITS, np.timedelta64(1, "s"))


def _age(rows: Rows) -> np.ndarray:
    return np.asarray((rows.event_time.max() - rows.event_time) / _unit(rows), dtype=float)
