"""What a version means: the classes behind its codes, and the columns that it reads."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sklearn.pipeline import Pipeline

from lakehouse.errors import RegistryError
from lakehouse.models.problems import Classification, Problem, Regression, problem_of
from lakehouse.models.trials import Features, difference_of, features_of
from lakehouse.settings import ModelSettings


@dataclass(frozen=True)
class Meaning:
    """What was meant when a version was trained; it stays so whatever the settings say by now.

    Attributes:
        problem: its classes by their codes, or the tolerance of a number.
        features: the columns that it reads.
        paths: for each of them, where its values stood in a line.
        history: for those that are computed from earlier rows, their definitions.
    """

    problem: Problem
    features: Features
    paths: Mapping[str, tuple[str, ...]]
    history: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, model: ModelSettings) -> "Meaning":
        """Return what is meant by the settings."""
        features = features_of(model)
        return cls(
            problem_of(model),
            features,
            {name: model.readings.path_of(name) for name in features.names},
            {
                name: column.comment
                for name, column in model.readings.computed.items()
                if name in features.names
            },
        )

    @classmethod
    def of_older_release(cls, pipeline: Pipeline, problem: Problem) -> "Meaning":
        """Return what a version meant that was trained by a release which kept the model alone."""
        encoder = pipeline[0]
        columns = {name: tuple(read) for name, _, read in encoder.transformers}
        features = Features(columns.get("number", ()), columns.get("text", ()))
        return cls(problem, features, {name: (name,) for name in features.names})

    def to_json(self) -> str:
        """As it is kept."""
        document = {"format": 1, **vars(self.problem), **vars(self.features), "paths": self.paths}
        if self.history:
            document["history"] = self.history
        return json.dumps(document, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Meaning":
        """The inverse of `to_json`."""
        document: dict[str, Any] = json.loads(text)
        problem: Problem
        if "classes" in document:
            problem = Classification(
                tuple(document["classes"]), document["positive"], tuple(document["retired"])
            )
        else:
            problem = Regression(document["tolerance"])
        features = Features(tuple(document["numeric"]), tuple(document["categorical"]))
        paths = {name: tuple(path) for name, path in document["paths"].items()}
        return cls(problem, features, paths, document.get("history", {}))

    def check(self, pipeline: Pipeline, version: str) -> Pipeline:
        """The model of a version, if it is one of what the version means.

        Raises:
            RegistryError: it reads other columns, or predicts something else.
        """
        difference = difference_of(pipeline, self.features, self.problem)
        if difference:
            raise RegistryError(
                f"{version} cannot be used: {difference}; its file is another's: restore it, or "
                "roll back"
            )
        return pipeline

    def other_kind(self, model: ModelSettings) -> str | None:
        """Why rows of the settings are none for this version; None where they are.

        The settings predict numbers and this version classes, or so; or they define a feature
        otherwise that both compute from earlier rows.
        """
        if isinstance(self.problem, Regression) != model.is_regression:
            return (
                "the settings are of another problem type, which needs a lakehouse of its own "
                "(another root)"
            )
        computed = model.readings.computed
        for name, definition in self.history.items():
            now = computed[name].comment if name in computed else "nothing"
            if now != definition:
                return f"it reads {name} as `{definition}`, and history.features has `{now}`"
        return None

    def difference(self, settings: "Meaning") -> str | None:
        """Return how the settings' meaning differs from this version's, in words; None if not."""
        parts = []
        if isinstance(settings.problem, Classification) and isinstance(
            self.problem, Classification
        ):
            own_classes = self.problem.active
            new = [str(label) for label in settings.problem.active if label not in own_classes]
            gone = [str(label) for label in own_classes if label not in settings.problem.active]
            parts += [f"does not know the class {name}" for name in new]
            parts += [f"knows the class {name}, which the settings do not" for name in gone]
        own, wanted = set(self.features.names), set(settings.features.names)
        parts += [f"does not read {name}" for name in sorted(wanted - own)]
        parts += [f"reads {name}, which the settings do not name" for name in sorted(own - wanted)]
        return "; ".join(parts) or None
