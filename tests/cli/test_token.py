"""A token must be shown once and stored only as its digest."""

import re

import pytest
from commands import LINES, PREFIX, Commands


def test_the_token_goes_to_standard_output_and_its_line_fits_the_tokens_file(commands: Commands) -> None:
    done = commands.run("token", "ops", "read")
    line = done.stderr.splitlines()[-1]
    assert re.fullmatch(r"ops read [0-9a-f]{64}", line)
    assert done.stdout.strip() not in done.stderr
    (commands.folder / "tokens").write_text(line)
    done = commands.run("import", "-", text=LINES[0], environment={f"{PREFIX}TOKENS_FILE": "tokens"})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["a b", "", "a#", "x" * 65])
def test_a_name_that_the_tokens_file_cannot_hold_is_refused(commands: Commands, name: str) -> None:
    done = commands.run("token", name, "read")
    assert (done.returncode, done.stdout) == (1, "")
    assert "1 to 64 letters" in done.stderr
