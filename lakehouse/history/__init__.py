"""Features of a row that are computed from the rows before it. Pure."""
