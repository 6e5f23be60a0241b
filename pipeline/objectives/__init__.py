"""Losses, estimators and advantages: pure functions of tensors that know nothing of models."""
