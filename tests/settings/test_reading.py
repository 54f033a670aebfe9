"""An invalid setting must stop the service before it opens anything, and one error must name all of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from devops_api.errors import SettingsError
from devops_api.items.settings import IDENTITY, Settings, read_item_settings
from devops_api.settings.reading import create_schema, list_variables
from devops_api.settings.tokens import create_token

PREFIX = IDENTITY.settings_prefix
VARIABLES = {variable.name: variable for variable in list_variables(Settings, PREFIX)}
SCHEMA = create_schema(Settings, PREFIX)
PROPERTIES: dict[str, dict[str, Any]] = SCHEMA["properties"]
APART = {f"{PREFIX}DRAIN_DELAY_S": "0", f"{PREFIX}STOP_TIMEOUT_S": "3600"}  # no value of one conflicts with the other


def find_errors(environment: dict[str, str]) -> tuple[str, ...]:
    """Return the errors of an environment."""
    try:
        read_item_settings(environment)
    except SettingsError as error:
        return error.errors
    return ()


def list_values(rule: dict[str, Any]) -> Iterator[tuple[Any, bool]]:
    """Yield values at and beyond every limit of a JSON Schema, and whether they are valid."""
    if "default" in rule:
        yield rule["default"], True
    yield from ((value, True) for value in rule.get("enum", ()))
    if rule.get("type") == "boolean":
        yield from ((True, True), (False, True))
    if "minimum" in rule:
        step = 1 if rule["type"] == "integer" else 1e-4
        yield from ((rule["minimum"], True), (rule["minimum"] - step, False))
        yield from ((rule["maximum"], True), (rule["maximum"] + step, False))
    if "minimum" in rule or "enum" in rule or rule.get("type") == "boolean":
        yield "something else", False
    if "pattern" in rule:
        yield " ", False


def write(value: Any) -> str:
    """Return a value as the text of a variable."""
    return str(value).lower() if isinstance(value, bool) else str(value)


LIMITS = [(name, value, is_valid) for name, rule in PROPERTIES.items() for value, is_valid in list_values(rule)]


def test_an_empty_environment_gives_the_defaults() -> None:
    assert read_item_settings({"PATH": "/bin", f"{PREFIX}PORT": ""}) == Settings()


def test_every_setting_has_a_description_and_says_what_it_accepts() -> None:
    assert [variable.field for variable in VARIABLES.values()] == list(Settings.__struct_fields__)
    assert all(variable.description and variable.accepts for variable in VARIABLES.values())


@pytest.mark.parametrize(
    ("name", "accepts"),
    [
        ("PORT", "a whole number, 0 to 65535"),
        ("STOP_TIMEOUT_S", "seconds, 0.1 to 3600"),
        ("LOG_LEVEL", "debug, info, warning or error"),
        ("FAULTS", "true or false"),
        ("TOKENS_FILE", "a file of tokens"),
    ],
)
def test_what_a_setting_accepts_follows_from_its_type(name: str, accepts: str) -> None:
    assert VARIABLES[PREFIX + name].accepts == accepts


def test_settings_are_converted_to_their_types(tmp_path: Path) -> None:
    token, line = create_token("ops", "read")
    tokens_file = tmp_path / "tokens"
    tokens_file.write_text(line)
    settings = read_item_settings(
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
    assert settings.tokens_file.find(token) is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in ("true", "True", "YES", "on", "1")),
        *((text, False) for text in ("false", "No", "OFF", "0")),
    ],
)
def test_a_boolean_may_be_written_in_several_ways(text: str, expected: bool) -> None:  # noqa: FBT001
    assert read_item_settings({f"{PREFIX}FAULTS": text}).faults is expected


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400", "1,5", " 1", "null", "9" * 400])
def test_a_number_of_seconds_must_be_finite_and_plainly_written(text: str) -> None:
    (error,) = find_errors({f"{PREFIX}REQUEST_TIMEOUT_S": text})
    assert error == f"{PREFIX}REQUEST_TIMEOUT_S={text!r} must be seconds, 0.01 to 3600"


def test_all_errors_are_reported_together_each_with_its_variable_and_what_it_accepts() -> None:
    wrong = {"PORT": "eighty", "LOG_LEVEL": "loud", "MAX_IN_FLIGHT": "0", "REQUEST_TIMEOUT_S": "nan", "PROT": "1"}
    errors = find_errors({f"{PREFIX}{name}": value for name, value in wrong.items()})
    assert len(errors) == len(wrong)
    for name in wrong:
        assert sum(f"{PREFIX}{name}" in error for error in errors) == 1
    assert "0 to 65535" in next(error for error in errors if "_PORT" in error)
    assert f"{PREFIX}PROT is not a setting; `serve --help` lists them" in errors


@pytest.mark.parametrize("url", ["sqlite://items.db", "sqlite:///", "mysql://root:hunter2@db/items", "items.db"])
def test_an_invalid_database_url_is_refused_and_never_shown(url: str) -> None:
    (error,) = find_errors({f"{PREFIX}DATABASE_URL": url})
    assert "sqlite:///relative/file" in error
    assert "hunter2" not in error


def test_a_drain_delay_that_is_not_below_the_stop_timeout_is_refused() -> None:
    for name, value in (("DRAIN_DELAY_S", "9"), ("STOP_TIMEOUT_S", "0.5")):  # each against the other's default
        with pytest.raises(SettingsError, match="DRAIN_DELAY_S must be below"):
            read_item_settings({f"{PREFIX}{name}": value})
    assert find_errors({f"{PREFIX}DRAIN_DELAY_S": "9", f"{PREFIX}STOP_TIMEOUT_S": "9.1"}) == ()


def test_an_unreadable_tokens_file_is_named_with_the_reason(tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.write_text("")
    for path, reason in ((missing, "No such file"), (empty, "it holds no token"), (tmp_path, "Is a directory")):
        (error,) = find_errors({f"{PREFIX}TOKENS_FILE": str(path)})
        assert error.startswith(f"{PREFIX}TOKENS_FILE={str(path)!r} must be a file of tokens: ")
        assert reason in error


def test_the_schema_is_valid_and_describes_every_variable() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert list(PROPERTIES) == list(VARIABLES)
    for name, rule in PROPERTIES.items():
        assert rule["description"] == VARIABLES[name].description
        assert rule.get("default") == VARIABLES[name].default


def test_the_schema_has_limits_for_every_number() -> None:
    numbers = [rule for rule in PROPERTIES.values() if rule.get("type") in {"integer", "number"}]
    assert numbers
    assert all(rule["minimum"] < rule["maximum"] for rule in numbers)


@pytest.mark.parametrize(("name", "value", "is_valid"), LIMITS)
def test_the_schema_and_the_service_accept_the_same_values(name: str, value: Any, is_valid: bool) -> None:  # noqa: FBT001
    assert Draft202012Validator(SCHEMA).is_valid({name: value}) == is_valid
    errors = find_errors(APART | {name: write(value)})
    assert [error for error in errors if name in error] == list(errors)
    assert (not errors) == is_valid
