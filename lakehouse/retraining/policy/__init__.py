"""The policy: pure functions from labelled predictions and recorded versions to decisions."""
