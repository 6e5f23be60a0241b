"""One script per stage of dvc.yaml."""
