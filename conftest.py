"""Names the pytest plugins: only a conftest.py at the root of the checkout may do so."""

pytest_plugins = ("pytester", "flywheel_assets_tests.peers", "flywheel_assets_tests.servers")
