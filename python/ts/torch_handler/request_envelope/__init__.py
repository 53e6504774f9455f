"""Wrappers that speak other servers' body formats (surface spec 9.9)."""
