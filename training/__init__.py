"""Trains networks and publishes them as versions under `models/`. Knows PyTorch; of `service` only the contract modules."""
