"""What every tier shares: the real engines (started when first asked for)."""

from __future__ import annotations

pytest_plugins = ["tests.support.engines"]

pytest_plugins = ["tests.support.engines"]  # the real engines: nothing is started until a test asks for them
