"""How good policies, reward models and judges are, and the statistics behind the numbers."""
