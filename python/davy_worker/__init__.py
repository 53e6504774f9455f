"""Davy's Python worker: one process, one model version, frames on descriptor 3 (docs/worker-protocol.md)."""
