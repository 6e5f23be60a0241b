"""Servers that speak the interface of OpenAI: how they are asked, again where that may help, and by many threads."""
