"""Our losses, log-probs and gradients against TRL's own trainers, on the same batch."""
