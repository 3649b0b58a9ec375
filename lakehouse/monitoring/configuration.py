"""The configuration of the metrics; rows of the facts name it by its version."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from lakehouse.profiling.baseline import Baseline
from lakehouse.profiling.bins import quantile_edges
from lakehouse.profiling.columns import ColumnSpec, text_of
from lakehouse.profiling.profile import ColumnProfile
from lakehouse.profiling.sketches import representatives
from lakehouse.settings import ModelSettings

FACTS_FORMAT = 4
"""Raised when the code measures something new: older facts are computed anew before they merge."""

Edges = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Monitor:
    """A configuration of the metrics.

    Attributes:
        version: counted from 1.
        configuration: what is measured, as it is put on record.
        baseline: the profile of the fixed baseline table; none where the settings name none.
    """

    version: int
    configuration: str
    baseline: Baseline

    @property
    def edges(self) -> Edges:
        """The bin edges of the numeric columns."""
        return {
            name: tuple(edges) for name, edges in json.loads(self.configuration)["edges"].items()
        }

    def rebinned(self, baseline: Baseline) -> Baseline:
        """The baseline with its values counted in this configuration's bins."""
        edges = self.edges
        return {
            name: profile.rebinned(edges[name]) if name in edges else profile
            for name, profile in baseline.items()
        }


def configuration_of(
    model: ModelSettings, specs: tuple[ColumnSpec, ...], champion: Baseline, last: Monitor | None
) -> str:
    """Return what is measured from now on, as canonical JSON: equal text is the same configuration.

    Args:
        model: its settings.
        specs: the monitored columns.
        champion: the baseline of the model in production.
        last: the configuration until now, whose bins stay while their number does.
    """
    return json.dumps(
        {
            "facts_format": FACTS_FORMAT,
            "base_window_seconds": int(model.metrics.base_window.total_seconds()),
            "columns": [vars(spec) for spec in specs],
            "predicts": {
                "problem_type": model.predictions.problem_type,
                "classes": [text_of(label) for label in model.classes],
                "positive": None if model.is_regression else text_of(model.positive),
                "tolerance": model.predictions.tolerance,
            },
            "edges": _edges(specs, model.metrics.bins, champion, last),
            **model.metrics.model_dump(mode="json", exclude={"model_id_column"}),
        },
        sort_keys=True,
    )


def _edges(
    specs: tuple[ColumnSpec, ...], n_bins: int, champion: Baseline, last: Monitor | None
) -> dict[str, list[float]]:
    edges_before = last.edges if last and json.loads(last.configuration)["bins"] == n_bins else {}
    edges = {}
    for spec in specs:
        if spec.name in edges_before:
            edges[spec.name] = list(edges_before[spec.name])
        elif not spec.is_categorical and spec.name in champion:
            edges[spec.name] = list(_edges_of(champion[spec.name], n_bins, is_first=last is None))
    return edges


def _edges_of(profile: ColumnProfile, n_bins: int, is_first: bool) -> tuple[float, ...]:
    """The first champion brings the bins of its training data; later ones have a sketch alone."""
    if is_first and profile.bin_edges is not None:
        return profile.bin_edges
    if profile.moments.n:
        return quantile_edges(representatives(profile.quantile_sketch or b""), n_bins)
    return ()
