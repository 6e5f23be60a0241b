"""A policy beside the SFT policy in the terminal, and votes on the two where they are asked for blindly."""
