"""What every tier shares: the real engines.  Nothing is started until a test asks for it."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A machine that stands still for a moment is no finding.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

pytest_plugins = ["tests.support.engines"]
