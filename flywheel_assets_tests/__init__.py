"""Tests of flywheel_assets, in folders that mirror the package."""
