"""Finished models as folders to share: what is in them, where it came from, how good it is."""
