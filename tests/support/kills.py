"""Ends a run at a named step: before or after each effect on a table, on MLflow or of a stream."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any
from unittest.mock import patch

from lakehouse.retraining.spark_trainer import SparkTrainer
from lakehouse.storage import queries
from lakehouse.storage.registry import Registry
from lakehouse.storage.store import Store
from lakehouse.tables import Table

_ON_TABLES = ("append", "commit", "append_rows", "append_arrow", "replace_partitions", "_compact")
_IN_TRAINING = ("cross_fit", "fit", "register")
_IN_MLFLOW = (
    *("log_training", "log_policy_record", "log_recipe", "register", "promote"),
    "show_challenger",
)


class KilledError(Exception):
    """The run has died. What it tries after that is not done."""


def in_process(name: str) -> None:
    """Die as far as a test can without a process of its own."""
    raise KilledError(name)


@dataclass
class Steps:
    """The steps of a run, as it reaches them.

    Attributes:
        kills_at: whether the run dies at a step, by its name.
        die: how.
        reached: the names so far.
    """

    kills_at: Callable[[str], bool] = lambda name: False
    die: Callable[[str], None] = in_process
    reached: list[str] = field(default_factory=list)
    _is_dead: bool = False
    _within: list[str] = field(default_factory=list)

    def reach(self, name: str) -> None:
        """Come to a step; a run that is dead does nothing more."""
        if self._is_dead:
            raise KilledError(name)
        self.reached.append(name)
        if self.kills_at(name):
            self._is_dead = True
            self.die(name)

    def around(self, name: str, effect: Callable[[], Any]) -> Any:
        """An effect between two steps; one within another of the same table is a part of it."""
        if name in self._within:
            return effect()
        self._within.append(name)
        try:
            self.reach(f"before {name}")
            result = effect()
            self.reach(f"after {name}")
        finally:
            self._within.remove(name)
        return result


@contextmanager
def stepping(steps: Steps) -> Iterator[Steps]:
    """Effects go by steps until the block ends."""
    with ExitStack() as patches:
        for owner, names in (
            (Store, _ON_TABLES),
            (SparkTrainer, _IN_TRAINING),
            (Registry, _IN_MLFLOW),
        ):
            for name in names:
                wrapped = _wrapped(getattr(owner, name), f"{owner.__name__}.{name}", steps)
                patches.enter_context(patch.object(owner, name, wrapped))
        patches.enter_context(patch.object(queries, "run", _wrapped_run(queries.run, steps)))
        yield steps


def _wrapped(effect: Callable[..., Any], name: str, steps: Steps) -> Callable[..., Any]:
    signature = inspect.signature(effect)

    @wraps(effect)
    def between_steps(*given: Any, **named: Any) -> Any:
        table = signature.bind(*given, **named).arguments.get("table")
        full = name
        if isinstance(table, Table):
            kind = "gather" if name.endswith("_compact") else "write"
            full = f"{kind} of {table.full_name}"
        return steps.around(full, lambda: effect(*given, **named))

    return between_steps


def _wrapped_run(run: Callable[..., Any], steps: Steps) -> Callable[..., Any]:
    """`queries.run` whose micro-batches are effects: Spark has written their offsets before, and
    writes that they ended after.
    """

    @wraps(run)
    def with_steps(store: Any, name: str, frame: Any, handle: Any, *others: Any) -> Any:
        def handle_between_steps(rows: Any, batch: Any) -> None:
            steps.around(f"batch of {name}", lambda: handle(rows, batch))

        return run(store, name, frame, handle_between_steps, *others)

    return with_steps
