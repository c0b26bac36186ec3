"""Latents of an SSAE: descriptions, matching with concepts, names, the logit lens, and judges."""
