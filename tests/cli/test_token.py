"""A token must be shown once and stored only as its digest."""

import re

from commands import LINES, PREFIX, Commands


def test_the_token_goes_to_standard_output_and_its_line_fits_the_tokens_file(commands: Commands) -> None:
    done = commands.run("token", "ops", "read")
    line = done.stderr.splitlines()[-1]
    assert re.fullmatch(r"ops read [0-9a-f]{64}", line)
    assert done.stdout.strip() not in done.stderr
    (commands.folder / "tokens").write_text(line)
    done = commands.run("import", "-", text=LINES[0], environment={f"{PREFIX}TOKENS_FILE": "tokens"})
    assert done.returncode == 0, done.stderr
