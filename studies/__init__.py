"""Studies: what reproduces papers and fills the tables of the documentation. They are not part of the package.

``python -m studies NAME`` runs one: synthetic, language, probes, steering, decomposition or findings. Each prints its table,
and with ``--out FOLDER`` keeps what it measured, so that a run that was stopped is resumed. ``python -m studies.pages
FOLDER`` writes the tables into the documentation.
"""
