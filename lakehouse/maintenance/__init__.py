"""Tables that stay small on disk: what is gathered, what is let go, and what is kept for whom."""
