"""One room a family, under the names of `service/families/`. The folder listing is the registry."""
