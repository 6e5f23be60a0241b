"""What other columns say of the responses that were compared: it may not contradict in silence what is read."""
