"""A policy and the SFT policy side by side in the terminal, by name, or blindly with votes."""
