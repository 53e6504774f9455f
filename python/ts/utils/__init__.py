"""Part of the TorchServe import surface (surface spec 9.2)."""
