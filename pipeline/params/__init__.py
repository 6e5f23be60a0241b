"""Typed, frozen parameters: one model per section of params.yaml."""
