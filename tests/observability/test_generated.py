"""The generated files are committed: the check must notice every file that is stale, missing or left over."""

from pathlib import Path

import pytest
from walk import GENERATED

from observability.__main__ import compare, generate, main, write


def test_the_committed_files_are_up_to_date() -> None:
    assert compare(GENERATED, generate()) == ""


def test_the_check_shows_a_changed_and_a_left_over_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = dict(generate())
    write(tmp_path, files)
    assert main(["--check", "--folder", str(tmp_path)]) == 0
    (tmp_path / "dashboards/service.json").write_text(files["dashboards/service.json"].replace("p95", "p96"))
    (tmp_path / "dashboards/old.json").write_text("{}\n")
    assert main(["--check", "--folder", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert '-      "title": "p96"' in shown
    assert "-{}" in shown
    assert "run `make generate`" in shown


def test_the_check_shows_a_missing_file_and_writing_repairs_everything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, generate())
    (tmp_path / "dashboards/service.json").unlink()
    (tmp_path / "old.yml").write_text("groups: []\n")
    assert main(["--check", "--folder", str(tmp_path)]) == 1
    assert "+++ generated/dashboards/service.json" in capsys.readouterr().out
    assert main(["--folder", str(tmp_path)]) == 0
    assert main(["--check", "--folder", str(tmp_path)]) == 0
