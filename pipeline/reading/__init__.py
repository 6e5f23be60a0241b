"""Reads files and data sets in the formats that people have, and makes entries of them: pairs, labels, prompts."""
