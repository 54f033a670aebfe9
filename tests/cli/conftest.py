"""Fixtures of the tests of the command line."""

from pathlib import Path

import pytest
from commands import Commands


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Run commands in an empty folder."""
    return Commands(tmp_path)
