"""The command line must explain itself, and tell scripts by its exit code what went wrong."""

import re
import socket

import pytest
from commands import PREFIX, Commands

from devops_api.items.settings import Settings
from devops_api.settings.reading import list_variables


def test_help_names_every_command_and_shows_first_steps(commands: Commands) -> None:
    shown = commands.run("--help").stdout
    for name in ("serve", "healthcheck", "ping", "token", "import", "export", "backup", "restore", "load"):
        assert re.search(rf"^\s+{name}\s", shown, re.MULTILINE), name
        assert commands.run(name, "--help").returncode == 0
    assert "curl" in shown


def test_help_of_serve_lists_every_setting(commands: Commands) -> None:
    shown = commands.run("serve", "--help").stdout
    assert all(variable.name in shown for variable in list_variables(Settings, PREFIX))


def test_without_a_command_the_help_is_shown_and_the_exit_code_is_2(commands: Commands) -> None:
    done = commands.run()
    assert (done.returncode, "commands:" in done.stdout) == (2, True)


@pytest.mark.parametrize("option", ["--rate", "--duration"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "fast"])
def test_an_invalid_option_is_named_and_the_exit_code_is_2(commands: Commands, option: str, value: str) -> None:
    done = commands.run("load", f"{option}={value}")
    assert done.returncode == 2
    assert done.stderr.endswith(f"error: argument {option}: must be a number above 0, not '{value}'\n")


def test_invalid_settings_are_all_named_and_the_exit_code_is_2(commands: Commands) -> None:
    wrong = {f"{PREFIX}PORT": "x", f"{PREFIX}LOG_LEVEL": "loud", "OTEL_TRACES_SAMPLER_ARG": "2"}
    done = commands.run("serve", environment=wrong)
    assert done.returncode == 2
    assert all(name in done.stderr for name in wrong)
    assert "Traceback" not in done.stderr
    assert not list(commands.folder.iterdir())


def test_a_port_in_use_is_named_and_the_exit_code_is_1(commands: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = commands.run("serve", environment={f"{PREFIX}PORT": port})
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
