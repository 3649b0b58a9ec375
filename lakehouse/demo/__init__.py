"""The demonstration: six weeks of a glass works in minutes, and what became of them."""
