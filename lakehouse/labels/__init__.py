"""The labels in force, and what they are joined to."""
