"""A local page on which people say which of two responses is better; their votes are a file a person."""
