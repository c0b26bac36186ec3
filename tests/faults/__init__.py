"""Faults: work is killed, starved of disk or damaged, and what comes of it is compared with undisturbed work."""
