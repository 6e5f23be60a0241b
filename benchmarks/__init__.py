"""Speed and memory of the trainers beside their peers, on the same files in the same run."""
