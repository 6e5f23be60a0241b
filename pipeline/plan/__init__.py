"""What each stage of a run will need, in memory, on the disk, in tokens and in time, before anything runs."""
