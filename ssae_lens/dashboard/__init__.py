"""Plotly figures from results, and the one-file report."""
