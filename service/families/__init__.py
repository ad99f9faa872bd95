"""One room a family. The folder listing is the registry."""
