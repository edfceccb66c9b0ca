"""Tests of the repository itself: most read files, so they do not wait for Keras to be imported."""

import pytest


@pytest.fixture(autouse=True)
def seed():
    """Replaces the seed that needs Keras; tests that run models do so in their own process."""
    return 0
