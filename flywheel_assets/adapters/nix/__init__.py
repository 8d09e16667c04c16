"""Nix binary caches: reading the mutable one, publishing to a durable one, and a builder's own store."""
