"""Logging to MLflow: a journal on disk, and a process beside the stage that sends it."""
