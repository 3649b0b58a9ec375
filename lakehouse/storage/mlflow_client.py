"""MLflow's client: it waits for seconds, not minutes, and each of its errors is one of ours."""

import logging
import os
import re
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

# Set before MLflow is imported. By default it tries for minutes while a server is down, and for as
# long as a server that is overloaded asks it to.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow.sklearn
import pandas as pd
from mlflow import MlflowClient, entities
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, infer_signature

from lakehouse.errors import LakehouseError, RegistryError, RegistryUnreachableError
from lakehouse.models import TRUSTED_TYPES
from lakehouse.redaction import without_secrets

__all__ = ["Client", "Sample", "entities", "make_tables", "save_model", "unreachable"]

# MLflow's own handler would show rows, such as an example that a model refuses.
logging.getLogger("mlflow").handlers.clear()
logging.getLogger("mlflow").propagate = True
# Whole numbers are class labels, of which none is missing.
warnings.filterwarnings("ignore", message="Hint: Inferred schema contains integer column")

_GONE = ("RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE")
_NOT_FOUND = 404
# Of what MLflow and the libraries under it say, the part that tells; the rest may hold rows.
_TELLING = re.compile(
    r"too many \d+ error responses|error code \d+|[Rr]ead timed out|[Cc]onnect\w* timed out"
    r"|Name or service not known|(?<=\] )Connection \w+(?: by peer)?|Remote end closed connection"
    r"|database is locked|disk image is malformed|readonly database|unable to open database file"
)


class Sample(NamedTuple):
    """Rows of a training that show what columns may hold, and what is predicted for them."""

    rows: pd.DataFrame
    predictions: pd.Series

    @property
    def signature(self) -> ModelSignature:
        """What columns and what prediction a model has, as MLflow tells it.

        Raises:
            RegistryError: MLflow has no type for a column; its own words would show rows.
        """
        try:
            return infer_signature(*self)
        except MlflowException:
            kinds = ", ".join(f"{name} {kind}" for name, kind in self.rows.dtypes.items())
            raise RegistryError(
                f"MLflow has no types for these features ({kinds}); give the one that mixes kinds "
                "of values one type in the settings"
            ) from None


def save_model(model: Any, sample: Sample, target: Path) -> None:
    """Write a model with its signature to a folder, as a skops file: data, never code."""
    mlflow.sklearn.save_model(
        model,
        target,
        signature=sample.signature,
        input_example=sample.rows,
        serialization_format="skops",
        skops_trusted_types=list(TRUSTED_TYPES),
        pip_requirements=["scikit-learn", "skops"],
    )


def make_tables(uri: str) -> None:
    """Make MLflow's tables in an SQLite file."""
    client = MlflowClient(uri, uri)
    client.search_experiments(max_results=1)
    client.search_registered_models(max_results=1)


class Client:
    """MLflow's client for one place; its methods are MLflow's own.

    Raises:
        RegistryError: what is asked for is not there.
        RegistryUnreachableError: MLflow does not answer, or not as it should.
    """

    def __init__(self, tracking_uri: str) -> None:
        """Take the place; a server is not asked yet."""
        self._uri = tracking_uri
        self._mlflow = self._translated(MlflowClient)(tracking_uri, tracking_uri)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return self._translated(getattr(self._mlflow, name))

    def _translated(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def translated(*values: Any, **named: Any) -> Any:
            try:
                return call(*values, **named)
            except (TypeError, AttributeError):  # of the call itself
                raise
            # Databases, object stores and proxies each raise errors of their own.
            except Exception as error:
                raise _ours(error, self._uri) from error

        return translated


def unreachable(error: Exception, tracking_uri: str) -> RegistryUnreachableError:
    """Say that MLflow does not answer, why, and what to do."""
    place = without_secrets(tracking_uri, os.environ)
    return RegistryUnreachableError(
        f"tracking_uri: MLflow does not answer at {place} ({_reason(error)}); start it, or write "
        "where it is; then run the job again: nothing that was done is lost"
    )


def _ours(error: Exception, tracking_uri: str) -> LakehouseError:
    answer = getattr(error, "response", None)
    status = getattr(answer, "status_code", None)
    code = getattr(error, "error_code", None)
    if status == _NOT_FOUND or code in _GONE or isinstance(error, FileNotFoundError):
        return RegistryError(f"MLflow refuses it ({_reason(error)})")
    return unreachable(error, tracking_uri)


def _reason(error: Exception) -> str:
    found = _TELLING.findall(str(error))
    if found:
        return str(found[-1])
    if not isinstance(error, MlflowException | OSError):
        return type(error).__name__
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return shorten(without_secrets(first, os.environ), 160)
