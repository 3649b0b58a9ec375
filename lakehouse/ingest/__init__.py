"""From landed lines to silver: each line in one place, with its reasons."""
