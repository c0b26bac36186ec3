"""Every reader that is fuzzed, by its name; importing this imports no reader yet."""

from . import binaries, texts

TARGETS = {each.name: each for each in [*binaries.targets(), *texts.targets()]}
