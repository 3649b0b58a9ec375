"""How far one profile is from another."""
