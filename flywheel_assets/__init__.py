"""Promotes build outputs from mutable caches to durable places, by evidence, as Dagster assets."""

__version__ = "0.1.0"
