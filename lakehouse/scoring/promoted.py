"""A version that was promoted here, verified, and ready to be sent to workers."""

from lakehouse.errors import RegistryError, RegistryUnreachableError
from lakehouse.models import difference_of, load
from lakehouse.scoring.transforms import ScoringModel
from lakehouse.versions.ledger import PromotionLedger

_scored_with: dict[str, bytes] = {}  # by their digests: files of versions that scored here last
_MOST_KEPT = 2  # champion and challenger


def scoring_model(ledger: PromotionLedger, version: str) -> ScoringModel:
    """A version that was promoted here, verified, and ready to be sent to workers.

    Raises:
        RegistryError: it was never promoted, or its file or its columns are not those on record.
    """
    lakehouse = ledger.lakehouse
    sha256 = ledger.sha256(version)
    content = _content(ledger, version, sha256)
    meaning, pipeline = ledger.meaning(version), load(content, sha256)
    _scored_with.pop(sha256, None)
    _scored_with[sha256] = content
    for older in list(_scored_with)[:-_MOST_KEPT]:
        del _scored_with[older]
    # Refused here, it is one sentence; refused by a worker, it would be a stack trace.
    difference = difference_of(pipeline, meaning.features, meaning.problem) or meaning.other_kind(
        lakehouse.model
    )
    if difference:
        raise RegistryError(
            f"{lakehouse.model.name} version {version} cannot score: {difference}; roll back, or "
            "put the settings back"
        )
    sent = lakehouse.spark.sparkContext.broadcast(content)
    return ScoringModel(
        version, sha256, sent, meaning.features, meaning.problem, hasattr(pipeline[-1], "coef_")
    )


def _content(ledger: PromotionLedger, version: str, sha256: str) -> bytes:
    """The version's file; while MLflow does not answer, the one that scored here last."""
    try:
        return ledger.model_file(version)
    except RegistryUnreachableError:
        if sha256 not in _scored_with:
            raise
        return _scored_with[sha256]
