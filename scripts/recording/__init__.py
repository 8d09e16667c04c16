"""Records the sample flywheel: real tools build, real caches are filled, only the circumstances are made up."""
