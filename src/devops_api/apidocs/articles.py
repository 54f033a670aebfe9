"""The part of the page that describes one operation: parameters, body, responses and examples."""

from collections.abc import Mapping, Sequence
from html import escape
from http import HTTPStatus
from typing import Any, Final

import orjson

from devops_api.apidocs.commands import create_command, quote_command
from devops_api.apidocs.markup import render_table, render_text
from devops_api.apidocs.openapi import list_problems
from devops_api.http.operations import Example, Operation
from devops_api.http.problems import create_slug
from devops_api.http.routes import Route

_FORMATS: Final = {"uuid": "a UUID", "entity-tags": "entity tags"}


def render_operation(
    route: Route, described: Mapping[str, Any], base_url: str, explained: Mapping[str, tuple[str, str]]
) -> str:
    """Render a route as an article.

    `described` is its operation in the OpenAPI document; `explained` has the anchor and the title of the section that
    explains a component schema, by the schema's name.
    """
    operation = route.operation
    scope = f'<span class="scope">scope {route.scope}</span>' if route.scope else ""
    return "\n".join(
        [
            f'<article id="{operation.id}">',
            f'<header>{render_method(route)}<code class="path">{escape(route.path)}</code>{scope}</header>',
            f'<h3><a class="anchor" href="#{operation.id}">{escape(operation.summary)}</a></h3>',
            f"<p>{render_text(operation.description)}</p>",
            _render_parameters(described["parameters"]),
            _render_bodies(operation, explained),
            _render_responses(route),
            "<h4>Examples</h4>" if operation.examples else "",
            *(_render_example(route, example, base_url) for example in operation.examples),
            "</article>",
        ]
    )


def render_method(route: Route) -> str:
    """Render the method of a route in its colour."""
    return f'<span class="method {route.method}">{route.method}</span>'


def _render_parameters(parameters: Sequence[Mapping[str, Any]]) -> str:
    if not parameters:
        return ""
    rows = [
        (
            f"<code>{escape(parameter['name'])}</code>",
            render_text(_describe_values(parameter["schema"])),
            render_text(parameter["description"]),
        )
        for parameter in parameters
    ]
    return f"<h4>Parameters</h4>\n{render_table(('Name', 'Values', 'Meaning'), rows)}"


def _describe_values(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        text = " ".join(f"`{value}`" for value in schema["enum"])
    elif "maximum" in schema:
        text = f"{schema.get('minimum', 0)} to {schema['maximum']}"
    elif "maxLength" in schema:
        text = f"up to {schema['maxLength']} characters"
    elif schema.get("type") == "array":
        text = "repeatable"
    else:
        text = _FORMATS.get(schema.get("format", ""), "text")
    return text + (f"; default `{schema['default']}`" if "default" in schema else "")


def _render_bodies(operation: Operation, explained: Mapping[str, tuple[str, str]]) -> str:
    if not operation.bodies:
        return ""
    media_types = " or ".join(f"<code>{escape(media_type)}</code>" for media_type in operation.bodies)
    sections = dict.fromkeys(
        explained[name] for name in operation.bodies.values() if name is not None and name in explained
    )
    links = "".join(f'; see <a href="#{anchor}">{escape(title)}</a>' for anchor, title in sections)
    return f"<h4>Body</h4>\n<p>{media_types}{links}</p>"


def _render_responses(route: Route) -> str:
    rows = [
        f'<tr><td class="status">{response.status}</td><td>{render_text(response.description)}'
        f"{_list_headers(response.headers)}</td></tr>"
        for response in route.operation.responses
    ]
    statuses = {problem.title: problem.status for problem in list_problems(route)}
    links = ", ".join(
        f'<a href="#{create_slug(title)}">{status} {escape(title.lower())}</a>' for title, status in statuses.items()
    )
    rows.append(f'<tr><td class="status">4xx 5xx</td><td>{links}</td></tr>')
    return f"<h4>Responses</h4>\n<table>{''.join(rows)}</table>"


def _list_headers(names: Sequence[str]) -> str:
    return " Headers: " + ", ".join(f"<code>{escape(name)}</code>" for name in names) if names else ""


def _render_example(route: Route, example: Example, base_url: str) -> str:
    command = escape(quote_command(create_command(route, example, base_url)))
    phrase = HTTPStatus(example.status).phrase
    colour = "good" if example.status < HTTPStatus.BAD_REQUEST else "bad"
    response = ""
    if example.response is not None:
        text = example.response if isinstance(example.response, str) else _indent(example.response)
        response = f'<pre class="reply" tabindex="0"><code>{escape(text)}</code></pre>'
    return (
        f'<figure class="{"pair" if response else "alone"}"><figcaption>{escape(example.summary)} '
        f'<span class="status {colour}">{example.status} {phrase}</span></figcaption>'
        f'<pre class="command" tabindex="0"><code>{command}</code></pre>{response}</figure>'
    )


def _indent(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
