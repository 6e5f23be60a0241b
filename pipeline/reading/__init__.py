"""What people have, in the formats in which they have it, to entries: prompts with responses, pairs or labels."""
