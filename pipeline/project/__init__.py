"""What dvc.yaml, dvc.lock and git say of the project: its home, graph, lock, hashes and defaults."""
