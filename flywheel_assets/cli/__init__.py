"""`flywheel …`. Heavy imports are made by the command that needs them, so that every other one starts fast."""
