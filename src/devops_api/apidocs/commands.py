"""Examples as curl commands."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

import orjson

from devops_api.http.bodies import JSON
from devops_api.http.operations import Example
from devops_api.http.routes import Route

_ON_NEW_LINE: Final = ("-H", "--data-binary")


def create_command(route: Route, example: Example, base_url: str) -> list[str]:
    """Create the arguments of curl that send an example."""
    url = base_url + route.path
    for name, value in example.path.items():
        url = url.replace(f"{{{name}}}", value)
    if example.query:
        url += f"?{urlencode(example.query, doseq=True)}"
    arguments = ["curl", "-i", url]
    if route.method != "GET" and not (route.method == "POST" and example.body is not None):
        arguments[2:2] = ["-X", route.method]
    media_type = example.media_type or next(iter(route.operation.bodies), JSON)
    headers = dict(example.headers) | ({"Content-Type": media_type} if example.body is not None else {})
    for name, value in headers.items():
        arguments += ["-H", f"{name}: {value}"]
    if example.body is not None:
        text = example.body if isinstance(example.body, str) else orjson.dumps(example.body).decode()
        arguments += ["--data-binary", text]
    return arguments


def quote_command(arguments: Sequence[str]) -> str:
    """Quote a command for any POSIX shell, with one line for each header and for the body."""
    words = [_quote(argument) for argument in arguments]
    lines = [words[0]]
    for word in words[1:]:
        if word in _ON_NEW_LINE:
            lines.append(f"  {word}")
        else:
            lines[-1] += f" {word}"
    return " \\\n".join(lines)


def _quote(argument: str) -> str:
    is_plain = argument and all(character.isalnum() or character in "-_./:{}" for character in argument)
    return argument if is_plain else "'" + argument.replace("'", "'\\''") + "'"
