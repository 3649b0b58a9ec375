"""The errors that a user of the lakehouse can meet; each message says what to do about it."""


class LakehouseError(Exception):
    """An error that a person can act on: shown as one sentence, without a stack trace."""


class ConfigurationError(LakehouseError):
    """A setting is missing, unknown or impossible; the message names its key and the remedy."""


class LockedError(LakehouseError):
    """Another process writes the table that this one was about to write."""


class RegistryError(LakehouseError):
    """The model registry does not hold what is asked of it, or what it holds may not be trusted."""


class TrainingError(LakehouseError):
    """No trial of a training could be fitted; the message says why."""


class StoreError(LakehouseError):
    """A table is not what its declaration says, or a write did not take place."""


class LandingError(LakehouseError):
    """A landing folder cannot be looked at."""
