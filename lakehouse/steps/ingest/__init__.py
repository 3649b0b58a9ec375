"""Ingest: from lines to typed values and reasons, from those to what becomes of each line."""
