"""Finds the files of DVC's cache that nothing needs any more, and lets `dvc gc` remove them."""
