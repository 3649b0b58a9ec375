"""What runs of many policies came to."""
