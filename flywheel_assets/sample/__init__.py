"""The recorded sample flywheel, and the stand-in for the services that it cannot reach."""
