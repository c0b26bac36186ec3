"""Latents: describe them from their pairs, match them with labels, name them, and what names them."""
