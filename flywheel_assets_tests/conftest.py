"""What every test shares. Real parts are in peers.py, in-memory ones in fakes.py."""

import os

from hypothesis import settings

# A loaded machine must not turn a slow example into a failure, nor CI find another one each time.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "default")
