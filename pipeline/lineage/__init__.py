"""Which data, parameters and code produced which checkpoint: read from dvc.lock, the DVC cache, git and MLflow."""
