"""Helpers that every subpackage uses: checks, files, provenance. Nothing here depends on the rest of the package."""
