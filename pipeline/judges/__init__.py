"""Judges: anything that scores how good a response is."""
