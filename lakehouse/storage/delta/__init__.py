"""What a Delta table is on disk: its declaration, its data files, their statistics, its lock."""
