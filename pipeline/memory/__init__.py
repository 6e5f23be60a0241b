"""What a training will hold in memory, and whether that fits, before any weights are loaded."""
