"""The page must tell a reader everything about any domain, load nothing, and let no text become markup."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import aiohttp
import msgspec
from apidocs.notes import CREATE_NOTE, GUIDE, IDENTITY, ROUTES, SCHEMAS, SETTINGS, handle
from conftest import StartService

from devops_api.apidocs.guide import Guide
from devops_api.apidocs.openapi import create_openapi
from devops_api.apidocs.page import Page, list_explained_problems, render_page
from devops_api.errors import ProblemError
from devops_api.http.operations import Example
from devops_api.http.problems import create_type
from devops_api.http.routes import Route
from devops_api.items.errors import ImportStoppedError
from devops_api.settings.service import ServiceSettings
from devops_api.settings.tokens import Token, Tokens


def render(*routes: Route, settings: ServiceSettings = SETTINGS, guide: Guide = GUIDE) -> Page:
    openapi = create_openapi(IDENTITY, routes, summary="", schemas=SCHEMAS, needs_token=False)
    return render_page(IDENTITY, routes, openapi, guide, settings)


HTML = render(*ROUTES).html


class Links(HTMLParser):
    """The ids of a page, its links, and the URLs that it would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.anchors: list[str] = []
        self.loaded: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag."""
        attributes = {name: value or "" for name, value in attrs}
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.anchors += [attributes["href"]] if tag == "a" else []
        self.loaded += [attributes.get("href", attributes.get("src", ""))] if tag in {"link", "script", "img"} else []


def assert_self_contained(html: str, policy: str) -> None:
    links = Links(html)
    assert len(set(links.ids)) == len(links.ids)
    assert {anchor[1:] for anchor in links.anchors if anchor.startswith("#")} <= set(links.ids)
    assert {anchor for anchor in links.anchors if not anchor.startswith("#")} == {"/openapi.json"}
    assert all(url.startswith("data:") for url in links.loaded)
    style = re.search("<style>(.*)</style>", html, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy
    assert " style=" not in html


def test_page_of_any_domain_names_that_domain_alone() -> None:
    text = HTML.lower()
    assert "item" not in text
    assert "devops-api" not in text
    assert "<title>notes 0.1.0" in text


def test_page_of_any_domain_is_self_contained() -> None:
    assert_self_contained(*render(*ROUTES))


def test_page_has_the_guide_of_the_domain() -> None:
    for part in (
        "<h1>The notes API</h1>",
        "Write <code>text</code> down.",
        "curl http://localhost:8123/notes -d",
        "<dt>Order</dt>\n<dd>Notes have <code>no</code> order.</dd>",
        '<td>Length of a note</td><td>80 characters</td><td><a href="#note-locked">423</a></td>',
        '<section id="note">\n<h2>What a note is</h2>\n<p>A <em>text</em>.</p>',
        '<li><a href="#note">What a note is</a></li>',
    ):
        assert part in HTML


def test_page_needs_no_guide() -> None:
    page = render(*ROUTES, guide=Guide())
    assert "<h1>notes</h1>" in page.html
    assert_self_contained(*page)


def test_page_has_the_limits_of_the_service() -> None:
    for value in ("2 KiB", "2.5 s", "77"):
        assert f"<td>{value}</td>" in HTML


def test_page_describes_each_operation() -> None:
    assert '<article id="createNote">' in HTML
    assert '<span class="method POST">POST</span><code class="path">/notes</code>' in HTML
    assert '<span class="scope">scope write</span>' in HTML
    assert "<code>plain</code> <code>rich</code>; default <code>plain</code>" in HTML
    assert "The note. Headers: <code>Location</code>, <code>X-Note-Length</code>" in HTML
    assert '<code>application/json</code>; see <a href="#note">What a note is</a>' in HTML
    assert "curl -i &#x27;http://localhost:8123/notes/7?shape=rich&#x27;" in HTML


def test_page_groups_operations_and_orders_them_by_path() -> None:
    other = Route("GET", "/a", None, handle, CREATE_NOTE._replace(id="other", group="Others"))
    articles = re.findall('<article id="(createNote|getNote|other)">', render(*ROUTES, other).html)
    assert articles == ["createNote", "getNote", "other"]


def test_page_explains_the_problems_of_its_routes_and_of_every_service_and_no_others() -> None:
    titles = [problem.title for problem in list_explained_problems(ROUTES)]
    assert len(set(titles)) == len(titles)
    assert {"Note locked", "Not found", "Method not allowed", "Internal error", "Injected fault"} <= set(titles)
    assert {"Foreign problem", "Import stopped", "Not acceptable"}.isdisjoint(titles)
    assert "Another user edits the note. Try again later." in HTML


def test_page_says_whether_tokens_are_needed() -> None:
    settings = msgspec.structs.replace(SETTINGS, tokens_file=Tokens([Token("reader", "read", b"")]))
    assert "Authorization: Bearer" in render(*ROUTES, settings=settings).html.partition('<section id="problems">')[0]
    assert "Authorization: Bearer" not in HTML.partition('<section id="problems">')[0]


def test_text_cannot_become_markup() -> None:
    operation = CREATE_NOTE._replace(
        summary="<script>1</script>",
        examples=(Example("x", "<b>", 200, body="'</code><img src=x>", response="<i>"),),
    )
    html = render(Route("POST", "/notes", None, handle, operation)).html
    assert not re.search("<script|<img|<b>|<i>", html)


async def test_page_of_the_service_is_self_contained(client: aiohttp.ClientSession) -> None:
    async with client.get("/docs") as response:
        assert_self_contained(await response.text(), response.headers["Content-Security-Policy"])


async def test_page_of_the_service_explains_every_problem(client: aiohttp.ClientSession) -> None:
    async with client.get("/docs") as response:
        html = await response.text()
    problems: list[Any] = [ProblemError]
    for problem in problems:
        problems += [sub for sub in problem.__subclasses__() if sub.__module__.startswith("devops_api.")]
    assert ImportStoppedError in problems
    assert {create_type(problem.title).removeprefix("/docs#") for problem in problems[1:]} <= set(Links(html).ids)


async def test_page_of_the_service_lists_every_operation_and_parameter_and_the_limits_in_force(
    start_service: StartService,
) -> None:
    running = await start_service(max_body_bytes=2048, max_in_flight=77, faults=True)
    async with running.client.get("/openapi.json") as response:
        paths = (await response.json())["paths"]
    async with running.client.get("/docs") as response:
        html = await response.text()
    operations = [operation for methods in paths.values() for name, operation in methods.items() if name != "head"]
    for operation in operations:
        assert f'id="{operation["operationId"]}"' in html
        assert all(f"<code>{parameter['name']}</code>" in html for parameter in operation["parameters"])
    assert "<td>2 KiB</td>" in html
    assert "<td>77</td>" in html
