"""Layouts of public preference sets and training tools, one a file, each from its public documentation."""
