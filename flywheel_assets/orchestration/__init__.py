"""Dagster: keys, resources, assets, checks, sensors, schedules, metadata. Only this knows Dagster.

Dagster's events inform people. What lets an artifact out is signed evidence that ``promotion`` checks itself,
in the asset's body, every time.
"""
