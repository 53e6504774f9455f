"""Metrics that handlers emit (surface spec 4.7)."""
