"""From readings to predictions, by the version in production."""
