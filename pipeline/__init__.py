"""A reproducible RLHF pipeline: SFT, preferences, reward model, DPO, PPO and the evidence, as one DVC graph."""
