"""Judges: whatever says how good a response is, or which of two is better."""
