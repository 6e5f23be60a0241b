"""What a model is worth: policies, reward models, and the statistics behind the numbers."""
