"""The page that shows how the models are: rows to panels, panels to one HTML file."""
