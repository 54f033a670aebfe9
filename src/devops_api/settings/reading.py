"""Read settings from the environment by the annotated fields of a settings class.

Each field of such a class is one variable: the service's prefix and the field's name in capitals. Its type and its
`msgspec.Meta` are the only declaration; parsing, help, documentation and JSON Schema are derived from them.
"""

from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from devops_api.errors import SettingsError
from devops_api.settings.otel import find_otel_errors
from devops_api.settings.service import ServiceSettings
from devops_api.settings.tokens import Tokens, read_tokens

_BOOLEANS: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}
S = TypeVar("S", bound=ServiceSettings)


class Variable(NamedTuple):
    """One environment variable: the field it sets, what it means, the values it accepts, its default."""

    name: str
    field: str
    description: str
    accepts: str
    default: Any
    hint: Any


def list_variables(settings_class: type[ServiceSettings], prefix: str) -> list[Variable]:
    """Return every variable in the order of the fields."""
    hints = get_type_hints(settings_class, include_extras=True)
    variables = []
    for field in msgspec.structs.fields(settings_class):
        declared, meta = get_args(hints[field.name])
        kind = _require(declared)
        accepts = (meta.extra or {}).get("accepts") or _describe_kind(kind, meta)
        name = prefix + field.name.upper()
        variables.append(Variable(name, field.name, meta.description, accepts, field.default, Annotated[kind, meta]))
    return variables


def read_settings(settings_class: type[S], environment: Mapping[str, str], prefix: str) -> S:
    """Read every variable with the prefix, and check the OTEL_ ones. SettingsError has a line for each invalid one."""
    known = {variable.name: variable for variable in list_variables(settings_class, prefix)}
    values: dict[str, Any] = {}
    errors: list[str] = []
    for name, text in sorted(environment.items()):
        if not name.startswith(prefix) or text == "":
            continue
        if name not in known:
            errors.append(f"{name} is not a setting; `serve --help` lists them")
            continue
        try:
            values[known[name].field] = _parse(known[name].hint, text)
        except msgspec.ValidationError as error:
            errors.append(_describe_error(known[name], text, error))
    settings = settings_class(**values)
    errors += settings.find_conflicts(prefix) + find_otel_errors(environment)
    if errors:
        raise SettingsError(errors)
    return settings


def create_schema(settings_class: type[ServiceSettings], prefix: str) -> dict[str, Any]:
    """Return the JSON Schema of the environment variables, for editors and deployment checks."""
    hooks = {"schema_hook": lambda _: {"type": "string"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings",
        "type": "object",
        "properties": {
            variable.name: msgspec.json.schema(variable.hint, **hooks) | _show_default(variable)  # type: ignore[arg-type]
            for variable in list_variables(settings_class, prefix)
        },
    }


def _require(declared: Any) -> Any:
    """Return the type without `None`: a variable that is set has a value."""
    kinds = [kind for kind in get_args(declared) if kind is not NoneType]
    return kinds[0] if NoneType in get_args(declared) else declared


def _describe_kind(kind: Any, meta: msgspec.Meta) -> str:
    if get_origin(kind) is Literal:
        *first, last = get_args(kind)
        return f"{', '.join(first)} or {last}"
    if kind is bool:
        return "true or false"
    unit = "a whole number" if kind is int else "seconds"
    return f"{unit}, {meta.ge:g} to {meta.le}" if kind is float else f"{unit}, {meta.ge} to {meta.le}"


def _parse(hint: Any, text: str) -> Any:
    """Convert a variable's text. msgspec.ValidationError: it is not acceptable."""
    kind = get_args(hint)[0]
    if kind is bool or get_origin(kind) is Literal:
        text = text.lower()
    if kind is bool:
        text = _BOOLEANS.get(text, text)
    return msgspec.convert(text, hint, strict=False, dec_hook=_read_file)


def _read_file(kind: type, text: str) -> Any:
    """Read a secret from its file; msgspec turns the ValueError into a ValidationError with the same text."""
    if kind is not Tokens:
        raise NotImplementedError(kind)
    try:
        return read_tokens(Path(text))
    except OSError as error:
        raise ValueError(str(error)) from None


def _describe_error(variable: Variable, text: str, error: Exception) -> str:
    """Describe what a variable must be. The value of a URL is left out: it may hold a password."""
    shown = variable.name if variable.name.endswith("_URL") else f"{variable.name}={text!r}"
    reason = f": {error}" if variable.name.endswith("_FILE") else ""
    return f"{shown} must be {variable.accepts}{reason}"


def _show_default(variable: Variable) -> dict[str, Any]:
    return {} if variable.default is None else {"default": variable.default}
