"""Rollouts: which version answers which row, and when a new one has shown enough. Pure."""
