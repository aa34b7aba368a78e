"""What every test stands on: its own store, no trace sink, both event loops, Hypothesis profiles."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# `ci` draws the same examples every time: a red build means a change broke something, not that luck ran out.
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, print_blob=True)
settings.register_profile("dev", max_examples=50, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

# What a developer's shell may hold and a test must not depend on.
FOREIGN_SETTINGS = ("AGENTROUTE_", "OTEL_", "LITELLM_", "OPENAI_", "ANTHROPIC_")


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run async tests on both event loops; a module that needs one of them, or virtual time, overrides it."""
    return request.param


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test, and every process it starts, a store of its own and no trace sink."""
    for name in [name for name in os.environ if name.startswith(FOREIGN_SETTINGS)]:
        monkeypatch.delenv(name)
    store = tmp_path / ".agentroute"
    monkeypatch.setenv("AGENTROUTE_HOME", str(store))
    monkeypatch.setenv("AGENTROUTE_TRACE", "off")
    return store
