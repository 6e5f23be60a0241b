"""Language and reward models: loading, log-probs, sampling, saving."""
