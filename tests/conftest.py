"""What every tier shares: the real engines.  Nothing is started until a test asks for it."""

from __future__ import annotations

pytest_plugins = ["tests.support.engines"]
