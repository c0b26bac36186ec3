"""Floor 4: how well concepts are found, where the truth is known and where it is not."""
