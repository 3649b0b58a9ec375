"""A lakehouse copied while it is written to, and silver and gold made again from bronze."""
