"""The settings: read once from the environment, checked together, frozen.

Each field of `Settings` is one variable, `DEVOPS_API_` before its name; its metadata say what it accepts and means, and
the README's table and `devops-api serve --help` are made from them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from devops_api.errors import SettingsError
from devops_api.settings.otel import read_otel_faults
from devops_api.settings.tokens import Tokens, read_tokens

PREFIX: Final = "DEVOPS_API_"
KIB: Final = 1024
MIB: Final = 1024 * KIB
_T = TypeVar("_T")


class Setting(NamedTuple):
    """How one variable is read: `parse` raises ValueError where the text is not what `accepts` says."""

    parse: Callable[[str], Any]
    accepts: str
    meaning: str


def _setting(default: _T, parse: Callable[[str], _T], accepts: str, meaning: str) -> _T:
    value: _T = field(default=default, metadata={"setting": Setting(parse, accepts, meaning)})
    return value


def _number(default: int, least: int, most: int, meaning: str) -> int:
    return _setting(
        default, lambda text: _in_range(int(text), least, most), f"a whole number, {least} to {most}", meaning
    )


def _seconds(default: float, least: float, most: float, meaning: str) -> float:
    return _setting(
        default, lambda text: _in_range(float(text), least, most), f"seconds, {least:g} to {most:g}", meaning
    )


def _in_range(value: _T, least: float, most: float) -> _T:
    if not least <= value <= most:  # type: ignore[operator]
        raise ValueError
    return value


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError
        return text.lower()

    return parse


def _boolean(text: str) -> bool:
    return {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}[
        text.lower()
    ]


def _sqlite_url(text: str) -> str:
    if not (text.startswith("sqlite:///") and text.removeprefix("sqlite:///").strip("/")):
        raise ValueError
    return text


def _host(text: str) -> str:
    if not text or any(character.isspace() for character in text):
        raise ValueError
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, with the defaults of a first run."""

    host: str = _setting("127.0.0.1", _host, "an address or a host's name", "address to listen on")
    port: int = _number(8000, 0, 65535, "port to listen on; 0 takes a free one")
    database_url: str = _setting(
        "sqlite:///data/items.db",
        _sqlite_url,
        "sqlite:///relative/file or sqlite:////absolute/file",
        "where items live",
    )
    log_level: str = _setting(
        "info",
        _choice("debug", "info", "warning", "error"),
        "debug, info, warning or error",
        "least level that is logged",
    )
    log_format: str = _setting(
        "auto",
        _choice("auto", "json", "console"),
        "auto, json or console",
        "auto writes for people on a terminal and JSON elsewhere",
    )
    access_log: bool = _setting(
        False, _boolean, "true or false", "log every request, not only failed, slow and sampled ones"
    )
    slow_request_s: float = _seconds(1.0, 0.001, 3600, "requests that take longer are logged")
    max_body_bytes: int = _number(MIB, KIB, 1024 * MIB, "longest body of a request, batch and import apart")
    max_in_flight: int = _number(1024, 1, 1_000_000, "requests at once; above it 503 with Retry-After")
    request_timeout_s: float = _seconds(30, 0.01, 3600, "longest time for a request, import and export apart")
    header_timeout_s: float = _seconds(10, 0.01, 3600, "longest time from connecting to the end of the first headers")
    keepalive_timeout_s: float = _seconds(
        75, 0, 3600, "how long a connection may be idle or take over the next headers"
    )
    export_timeout_s: float = _seconds(300, 0.01, 86400, "longest time for an export or for an import's next bytes")
    drain_delay_s: float = _seconds(1, 0, 300, "time from failing readiness to the last accepted connection")
    stop_timeout_s: float = _seconds(9, 0.1, 3600, "whole time for a stop, the drain delay in it")
    forced_samples_per_s: int = _number(10, 0, 100_000, "traces a second that callers can force by traceparent")
    tokens_file: Tokens | None = _setting(  # noqa: RUF009 - it makes a field
        None, lambda text: read_tokens(Path(text)), "a file of tokens", "who may call /items; open to everyone without"
    )
    metrics_port: int | None = _setting(
        None, lambda text: _in_range(int(text), 0, 65535), "a port, 0 to 65535", "serve /metrics on a port of its own"
    )
    faults: bool = _setting(
        False, _boolean, "true or false", "open /faults, which makes requests fail or slow for practice"
    )


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read every DEVOPS_API_ variable, and check the OTEL_ ones. SettingsError has a line for each that is wrong."""
    faults: list[str] = []
    values: dict[str, Any] = {}
    known = dict(iterate_settings())
    for variable, text in sorted(environment.items()):
        if not variable.startswith(PREFIX) or text == "":
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in known:
            faults.append(f"{variable} is not a setting; `devops-api serve --help` lists them")
            continue
        try:
            values[name] = known[name].parse(text)
        except (ValueError, KeyError, OSError) as error:
            faults.append(_describe_fault(variable, text, known[name], error))
    if values.get("drain_delay_s", 0) >= values.get("stop_timeout_s", Settings().stop_timeout_s):
        faults.append(f"{PREFIX}DRAIN_DELAY_S must be below {PREFIX}STOP_TIMEOUT_S, which includes it")
    faults += read_otel_faults(environment)
    if faults:
        raise SettingsError(faults)
    return Settings(**values)


def _describe_fault(variable: str, text: str, setting: Setting, error: Exception) -> str:
    """What is wrong with a variable; a URL may hold a password, so its value is left out."""
    shown = variable if variable.endswith("_URL") else f"{variable}={text!r}"
    reason = f": {error}" if variable.endswith("_FILE") else ""
    return f"{shown} must be {setting.accepts}{reason}"


def iterate_settings() -> Iterator[tuple[str, Setting]]:
    """Each field's name with how it is read."""
    for entry in fields(Settings):
        yield entry.name, entry.metadata["setting"]
