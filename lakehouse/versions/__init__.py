"""Which version is in production: the ledger of promotions, and the columns that versions read."""
