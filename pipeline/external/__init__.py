"""Published benchmarks of reward models and policies, from files in their formats and in their own terms."""
