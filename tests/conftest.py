"""What every tier shares: the real engines (started when first asked for) and the options of the command line."""

from __future__ import annotations

import pytest

pytest_plugins = ["tests.support.engines"]

pytest_plugins = ["tests.support.engines"]  # the real engines: nothing is started until a test asks for them


def pytest_addoption(parser: pytest.Parser) -> None:
    # 100 histories take seconds; `make simulate` asks for more.
    parser.addoption("--seeds", type=int, default=100, help="how many simulated histories to run, a seed each")


@pytest.fixture(scope="session")
def seeds(request: pytest.FixtureRequest) -> range:
    """The seeds of this run's simulated histories."""
    return range(request.config.getoption("--seeds"))
