"""Tables and views for SQL users."""
