"""Floor 0: what every room needs, and nothing of the subject."""
