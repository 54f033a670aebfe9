"""The page for people: one file without a script, drawn from the OpenAPI document, and from nowhere else."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from html import escape
from http import HTTPStatus
from importlib.resources import files
from string import Template
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import orjson

from devops_api import __version__
from devops_api.errors import ProblemError
from devops_api.http.bodies import JSON
from devops_api.http.problems import create_slug
from devops_api.items.bulk.records import RECORD_BYTES_MAX
from devops_api.items.examples import Example
from devops_api.items.handlers import BATCH_BYTES_MAX, BATCH_ITEMS_MAX
from devops_api.items.operations import Operation
from devops_api.settings.service import KIB, MIB, ServiceSettings

_BACKTICK: Final = "`"
_FORMATS: Final = {"uuid": "a UUID", "entity-tags": "entity tags"}
_OPEN: Final = "Open to everyone who reaches this service, since no tokens are configured."
_GUARDED: Final = (
    "Every call on items needs <code>Authorization: Bearer …</code> with a token of the scope that is written beside "
    "it; a token that may write may read too. Probes and this page are open."
)


class Page(NamedTuple):
    """The page, and the Content-Security-Policy under which it is whole: its one style sheet, by its digest."""

    html: str
    policy: str


def draw_page(calls: Sequence[Operation], openapi: Mapping[str, Any], settings: ServiceSettings) -> Page:
    """The page of a service with these settings."""
    style = _read_asset("docs.css")
    base_url = f"http://localhost:{settings.port or 8000}"
    html = Template(_read_asset("docs.html")).substitute(
        version=escape(__version__),
        style=style,
        base_url=base_url,
        contents=_draw_contents(calls),
        access=_GUARDED if settings.tokens_file else _OPEN,
        max_body=_size(settings.max_body_bytes),
        batch_items=BATCH_ITEMS_MAX,
        batch_bytes=_size(max(BATCH_BYTES_MAX, settings.max_body_bytes)),
        record_bytes=_size(RECORD_BYTES_MAX),
        request_timeout=f"{settings.request_timeout_s:g} s",
        export_timeout=f"{getattr(settings, 'export_timeout_s', 0):g} s",
        max_in_flight=settings.max_in_flight,
        fields=_draw_fields(openapi["components"]["schemas"]),
        calls="\n".join(_draw_group(name, group, openapi, base_url) for name, group in _group(calls)),
        problems="\n".join(_draw_problem(title, status, text) for title, status, text in list_explanations()),
    )
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    return Page(
        html,
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
    )


def create_command(call: Operation, example: Example, base_url: str) -> list[str]:
    """The arguments of curl that send an example."""
    url = base_url + call.path.replace("{id}", example.id or "")
    if example.query:
        url += f"?{urlencode(example.query, doseq=True)}"
    arguments = ["curl", "-i", url]
    if call.method != "GET" and not (call.method == "POST" and example.body is not None):
        arguments[2:2] = ["-X", call.method]
    media_type = example.media_type or next(iter(call.bodies), JSON)
    headers = dict(example.headers) | ({"Content-Type": media_type} if example.body is not None else {})
    for name, value in headers.items():
        arguments += ["-H", f"{name}: {value}"]
    if example.body is not None:
        text = example.body if isinstance(example.body, str) else _json(example.body)
        arguments += ["--data-binary", text]
    return arguments


def list_explanations() -> list[tuple[str, int, str]]:
    """Return title, status and explanation of every problem, ordered by status."""
    kinds: list[type[ProblemError]] = list(ProblemError.__subclasses__())
    return sorted(((kind.title, kind.status, kind.explanation) for kind in kinds), key=lambda entry: entry[1])


def _read_asset(name: str) -> str:
    return (files("devops_api.apidocs") / name).read_text("utf-8")


def _group(calls: Sequence[Operation]) -> Iterator[tuple[str, list[Operation]]]:
    for name in dict.fromkeys(call.group for call in calls):
        yield name, [call for call in calls if call.group == name]


def _draw_contents(calls: Sequence[Operation]) -> str:
    lines: list[str] = []
    for name, group in _group(calls):
        lines.append(f"<h2>{escape(name)}</h2>\n<ul>")
        lines += [f'<li><a href="#{call.name}">{_method(call)}{escape(call.path)}</a></li>' for call in group]
        lines.append("</ul>")
    return "\n".join(lines)


def _draw_group(name: str, calls: Sequence[Operation], openapi: Mapping[str, Any], base_url: str) -> str:
    drawn = "\n".join(_draw_call(call, openapi["paths"][call.path][call.method.lower()], base_url) for call in calls)
    return f'<section id="{create_slug(name)}">\n<h2>{escape(name)}</h2>\n{drawn}\n</section>'


def _draw_call(call: Operation, operation: Mapping[str, Any], base_url: str) -> str:
    scope = f'<span class="scope">scope {call.scope}</span>' if call.scope else ""
    return "\n".join(
        [
            f'<article id="{call.name}">',
            f'<header>{_method(call)}<code class="path">{escape(call.path)}</code>{scope}</header>',
            f'<h3><a class="anchor" href="#{call.name}">{escape(call.summary)}</a></h3>',
            f"<p>{_inline(call.description)}</p>",
            _draw_parameters(operation["parameters"]),
            _draw_bodies(call),
            _draw_answers(call),
            "<h4>Examples</h4>",
            *(_draw_example(call, example, base_url) for example in call.examples),
            "</article>",
        ]
    )


def _draw_parameters(parameters: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{_describe_schema(parameter['schema'])}</td>"
        f"<td>{_inline(parameter['description'])}</td></tr>"
        for parameter in parameters
    ]
    head = "<tr><th>Name</th><th>Values</th><th>Meaning</th></tr>"
    return f'<h4>Parameters</h4>\n<div class="scroll"><table>{head}{"".join(rows)}</table></div>' if rows else ""


def _describe_schema(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        text = " ".join(f"`{value}`" for value in schema["enum"])
    elif "maximum" in schema:
        text = f"{schema.get('minimum', 0)} to {schema['maximum']}"
    elif "maxLength" in schema:
        text = f"up to {schema['maxLength']} characters"
    else:
        text = "repeatable" if schema["type"] == "array" else _FORMATS.get(schema.get("format", ""), "text")
    if "default" in schema:
        text += f"; `{schema['default']}` if absent"
    return _inline(text)


def _draw_bodies(call: Operation) -> str:
    if not call.bodies:
        return ""
    kinds = " or ".join(f"<code>{media_type}</code>" for media_type in call.bodies)
    return (
        f'<h4>Body</h4>\n<p>{kinds}; the fields are those of <a href="#item">an item</a>.</p>'
        if (call.path.startswith("/items"))
        else f"<h4>Body</h4>\n<p>{kinds}</p>"
    )


def _draw_answers(call: Operation) -> str:
    rows = [
        f'<tr><td class="status">{reply.status}</td><td>{_inline(reply.description)}'
        f"{_list_headers(reply.headers)}</td></tr>"
        for reply in call.replies
    ]
    titles: dict[str, int] = {}
    for kind in call.every_problem:
        titles.setdefault(kind.title, kind.status)
    linked = ", ".join(
        f'<a href="#{create_slug(title)}">{status} {escape(title.lower())}</a>'
        for title, status in sorted(titles.items(), key=lambda entry: entry[1])
    )
    rows.append(f'<tr><td class="status">4xx 5xx</td><td>{linked}</td></tr>')
    return f"<h4>Answers</h4>\n<table>{''.join(rows)}</table>"


def _list_headers(names: Sequence[str]) -> str:
    return " Headers: " + ", ".join(f"<code>{name}</code>" for name in names) if names else ""


def _draw_example(call: Operation, example: Example, base_url: str) -> str:
    command = escape(quote_command(create_command(call, example, base_url)))
    phrase = HTTPStatus(example.status).phrase
    kind = "good" if example.status < HTTPStatus.BAD_REQUEST else "bad"
    reply = ""
    if example.reply is not None:
        text = example.reply if isinstance(example.reply, str) else _json(example.reply, is_indented=True)
        reply = f'<pre class="reply" tabindex="0"><code>{escape(text)}</code></pre>'
    return (
        f'<figure class="{"pair" if reply else "alone"}"><figcaption>{escape(example.summary)} '
        f'<span class="status {kind}">{example.status} {phrase}</span></figcaption>'
        f'<pre class="command" tabindex="0"><code>{command}</code></pre>{reply}</figure>'
    )


def quote_command(arguments: Sequence[str]) -> str:
    """A command as a person types it, quoted for any POSIX shell; long ones go over several lines."""
    words = [_quote(argument) for argument in arguments]
    lines = [words[0]]
    for word in words[1:]:
        if word in {"-H", "--data-binary"}:
            lines.append(f"  {word}")
        else:
            lines[-1] += f" {word}"
    return " \\\n".join(lines)


def _quote(argument: str) -> str:
    is_plain = argument and all(character.isalnum() or character in "-_./:{}" for character in argument)
    return argument if is_plain else "'" + argument.replace("'", "'\\''") + "'"


def _draw_fields(schemas: Mapping[str, Any]) -> str:
    given = schemas["NewItem"]
    rows = []
    for name, field in schemas["Item"]["properties"].items():
        by = "you, required" if name in given["required"] else "you" if name in given["properties"] else "service"
        kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
        rows.append(
            f"<tr><td><code>{name}</code></td><td>{escape(' or '.join(kinds))}</td><td>{by}</td>"
            f"<td>{_inline(field['description'])}</td></tr>"
        )
    head = "<tr><th>Field</th><th>Type</th><th>From</th><th>Rules</th></tr>"
    return f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>'


def _draw_problem(title: str, status: int, text: str) -> str:
    anchor = create_slug(title)
    return (
        f'<article id="{anchor}"><h3><a class="anchor" href="#{anchor}"><span class="status bad">{status}</span> '
        f"{escape(title)}</a></h3><p>{_inline(text)}</p></article>"
    )


def _method(call: Operation) -> str:
    return f'<span class="method {call.method}">{call.method}</span>'


def _inline(text: str) -> str:
    """Text with `code` in it."""
    parts = escape(text).split(_BACKTICK)
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


def _json(value: object, *, is_indented: bool = False) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if is_indented else None).decode()


def _size(size_bytes: int) -> str:
    for unit_bytes, name in ((MIB, "MiB"), (KIB, "KiB")):
        if size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes} {name}"
    return f"{size_bytes} bytes"
