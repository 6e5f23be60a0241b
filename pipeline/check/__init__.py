"""Everything that can be known of data and parameters before the first model is trained."""
