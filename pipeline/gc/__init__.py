"""What of DVC's cache nothing needs any more, and its removal by `dvc gc`."""
