"""The page `/docs`: one file without a script, made of routes, their OpenAPI document and the domain's guide."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from operator import attrgetter
from string import Template
from typing import Any, Final, NamedTuple

from devops_api.apidocs.articles import render_method, render_operation
from devops_api.apidocs.guide import Command, Guide, Limit
from devops_api.apidocs.markup import format_size, render_table, render_text
from devops_api.apidocs.openapi import list_problems
from devops_api.errors import (
    InjectedFaultError,
    InternalError,
    MalformedError,
    MethodNotAllowedError,
    NotFoundError,
    ProblemError,
    SlowRequestError,
    TimedOutError,
    TooLargeError,
    UnavailableError,
)
from devops_api.http.problems import create_slug
from devops_api.http.routes import Route
from devops_api.identity import Identity
from devops_api.settings.service import ServiceSettings

_DEFAULT_PORT: Final = ServiceSettings().port  # shown if the service takes a free one
_OPEN: Final = "No tokens are configured: everyone who can reach this service may use it."
_GUARDED: Final = (
    "Send `Authorization: Bearer …` with a token of the scope that is shown beside an operation. A token of scope "
    "`write` may also read. Operations without a scope need no token."
)
_OF_EVERY_SERVICE: Final = (NotFoundError, MethodNotAllowedError, InternalError, InjectedFaultError)


class Page(NamedTuple):
    """The page, and a Content-Security-Policy that allows its one style sheet, by digest, and nothing else."""

    html: str
    policy: str


def render_page(
    identity: Identity,
    routes: Sequence[Route],
    openapi: Mapping[str, Any],
    guide: Guide,
    settings: ServiceSettings,
) -> Page:
    """Render the page of `routes`, which `openapi` describes."""
    base_url = f"http://localhost:{settings.port or _DEFAULT_PORT}"
    style = _read_asset("docs.css")
    groups = list(_iterate_groups(routes))
    explained = {name: (section.id, section.title) for section in guide.sections for name in section.schemas}
    html = Template(_read_asset("docs.html")).substitute(
        name=escape(identity.name),
        version=escape(identity.version),
        style=style,
        contents="\n".join(_render_contents(name, group) for name, group in groups),
        section_links="\n".join(f'<li><a href="#{each.id}">{escape(each.title)}</a></li>' for each in guide.sections),
        title=escape(guide.title or identity.name),
        lead=render_text(guide.lead),
        commands="\n".join(_render_command(command, base_url) for command in guide.commands),
        base_url=escape(base_url),
        access=render_text(_GUARDED if settings.tokens_file else _OPEN),
        conventions="\n".join(
            f"<dt>{escape(term)}</dt>\n<dd>{render_text(text)}</dd>" for term, text in guide.conventions
        ),
        limits=_render_limits([*_list_limits(settings), *guide.limits]),
        sections="\n".join(_render_section(section.id, section.title, section.html) for section in guide.sections),
        operations="\n".join(
            _render_section(create_slug(name), name, _render_operations(group, openapi, base_url, explained))
            for name, group in groups
        ),
        problems="\n".join(_render_problem(problem) for problem in list_explained_problems(routes)),
    )
    return Page(html, _create_policy(style))


def list_explained_problems(routes: Sequence[Route]) -> list[type[ProblemError]]:
    """List the problems of these routes and those of every service by status, one for each title."""
    problems: list[type[ProblemError]] = [problem for route in routes for problem in list_problems(route)]
    problems += _OF_EVERY_SERVICE
    by_title = {problem.title: problem for problem in reversed(problems)}
    return sorted(by_title.values(), key=attrgetter("status", "title"))


def _read_asset(name: str) -> str:
    return (files("devops_api.apidocs") / name).read_text("utf-8")


def _create_policy(style: str) -> str:
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _iterate_groups(routes: Sequence[Route]) -> Iterator[tuple[str, list[Route]]]:
    """Iterate over the groups in the order of the table, each with its routes by path."""
    for name in dict.fromkeys(route.operation.group for route in routes):
        yield name, sorted((route for route in routes if route.operation.group == name), key=attrgetter("path"))


def _render_contents(name: str, routes: Sequence[Route]) -> str:
    links = "\n".join(
        f'<li><a href="#{route.operation.id}">{render_method(route)}{escape(route.path)}</a></li>' for route in routes
    )
    return f"<h2>{escape(name)}</h2>\n<ul>\n{links}\n</ul>"


def _render_command(command: Command, base_url: str) -> str:
    text = escape(command.text.replace("{base_url}", base_url))
    return f"<figure><figcaption>{escape(command.summary)}</figcaption><pre><code>{text}</code></pre></figure>"


def _list_limits(settings: ServiceSettings) -> list[Limit]:
    return [
        Limit("Request body", format_size(settings.max_body_bytes), (TooLargeError,)),
        Limit("Request line and headers", "8 190 bytes per line", (MalformedError,)),
        Limit("Duration of a request", f"{settings.request_timeout_s:g} s", (SlowRequestError, TimedOutError)),
        Limit("Requests in flight", str(settings.max_in_flight), (UnavailableError,)),
    ]


def _render_limits(limits: Sequence[Limit]) -> str:
    rows = [
        (
            render_text(limit.subject),
            render_text(limit.value),
            ", ".join(f'<a href="#{create_slug(problem.title)}">{problem.status}</a>' for problem in limit.problems),
        )
        for limit in limits
    ]
    return render_table((), rows)


def _render_section(anchor: str, title: str, html: str) -> str:
    return f'<section id="{anchor}">\n<h2>{escape(title)}</h2>\n{html}\n</section>'


def _render_operations(
    routes: Sequence[Route], openapi: Mapping[str, Any], base_url: str, explained: Mapping[str, tuple[str, str]]
) -> str:
    return "\n".join(
        render_operation(route, openapi["paths"][route.path][route.method.lower()], base_url, explained)
        for route in routes
    )


def _render_problem(problem: type[ProblemError]) -> str:
    anchor = create_slug(problem.title)
    return (
        f'<article id="{anchor}"><h3><a class="anchor" href="#{anchor}">'
        f'<span class="status bad">{problem.status}</span> {escape(problem.title)}</a></h3>'
        f"<p>{render_text(problem.explanation)}</p></article>"
    )
