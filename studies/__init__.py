"""Studies: what reproduces papers and fills the tables of the documentation. They are not part of the package.

``python -m studies NAME`` runs one of synthetic, language, probes, steering, decomposition and findings. Each prints its
tables, and with ``--out FOLDER`` saves its measurements, from which a stopped run resumes.
``python -m studies.pages FOLDER`` writes the tables into the documentation.
"""
