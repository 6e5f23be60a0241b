"""Stages that start at once: a process that has imported the libraries waits for `make repro`, and forks for each."""
