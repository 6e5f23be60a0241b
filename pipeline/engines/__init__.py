"""Servers that sample in place of a policy's network, from its weights."""
