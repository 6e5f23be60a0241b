"""The training loops: SFT, reward model, DPO and PPO."""
