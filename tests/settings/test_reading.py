"""A wrong setting must stop the service before it opens anything, and say all that is wrong in one go."""

from pathlib import Path

import pytest

from devops_api.errors import SettingsError
from devops_api.items.settings import IDENTITY, Settings
from devops_api.items.settings import read_item_settings as read_settings
from devops_api.settings.reading import list_variables
from devops_api.settings.tokens import create_token

PREFIX = IDENTITY.settings_prefix


def test_an_empty_environment_gives_the_defaults() -> None:
    assert read_settings({"PATH": "/bin", f"{PREFIX}PORT": ""}) == Settings()


def test_every_setting_has_a_sentence_and_says_what_it_accepts() -> None:
    variables = list_variables(Settings, PREFIX)
    assert [variable.field for variable in variables] == list(Settings.__struct_fields__)
    assert all(variable.description and variable.accepts for variable in variables)


def test_settings_are_read_by_their_types(tmp_path: Path) -> None:
    _, line = create_token("ops", "read")
    tokens_file = tmp_path / "tokens"
    tokens_file.write_text(f"# who\n\n{line}\n")
    settings = read_settings(
        {
            f"{PREFIX}PORT": "9000",
            f"{PREFIX}REQUEST_TIMEOUT_S": "2.5",
            f"{PREFIX}LOG_LEVEL": "WARNING",
            f"{PREFIX}ACCESS_LOG": "yes",
            f"{PREFIX}TOKENS_FILE": str(tokens_file),
            f"{PREFIX}METRICS_PORT": "9464",
            f"{PREFIX}FAULTS": "1",
        }
    )
    assert (settings.port, settings.request_timeout_s, settings.log_level) == (9000, 2.5, "warning")
    assert (settings.access_log, settings.metrics_port, settings.faults) == (True, 9464, True)
    assert settings.tokens_file is not None


def test_all_faults_are_named_at_once_each_with_its_variable_and_what_it_accepts() -> None:
    wrong = {"PORT": "eighty", "LOG_LEVEL": "loud", "MAX_IN_FLIGHT": "0", "REQUEST_TIMEOUT_S": "nan", "PROT": "1"}
    with pytest.raises(SettingsError) as caught:
        read_settings({f"{PREFIX}{name}": value for name, value in wrong.items()})
    faults = caught.value.errors
    assert len(faults) == len(wrong)
    for name in wrong:
        assert sum(f"{PREFIX}{name}" in fault for fault in faults) == 1
    assert "0 to 65535" in next(fault for fault in faults if "_PORT" in fault)


@pytest.mark.parametrize("url", ["sqlite://items.db", "sqlite:///", "mysql://root:hunter2@db/items", "items.db"])
def test_a_wrong_database_url_is_refused_and_never_shown(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({f"{PREFIX}DATABASE_URL": url})
    assert "sqlite:///relative/file" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_drain_that_leaves_no_time_to_stop_is_refused() -> None:
    with pytest.raises(SettingsError, match="DRAIN_DELAY_S must be below"):
        read_settings({f"{PREFIX}DRAIN_DELAY_S": "9"})


@pytest.mark.parametrize(
    ("text", "complaint"), [("", "no token"), ("ops admin 00", "line 1"), ("\n\nops read xyz", "line 3")]
)
def test_a_wrong_tokens_file_is_refused_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(SettingsError, match=complaint):
        read_settings({f"{PREFIX}TOKENS_FILE": str(path)})


def test_a_tokens_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"{PREFIX}TOKENS_FILE"):
        read_settings({f"{PREFIX}TOKENS_FILE": str(tmp_path / "none")})
