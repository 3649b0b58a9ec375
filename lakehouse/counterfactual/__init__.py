"""What other policies would have predicted."""
