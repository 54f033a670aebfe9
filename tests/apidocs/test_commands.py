"""The commands of the page must survive a shell as they are printed."""

import subprocess

from apidocs.notes import CREATE_NOTE, GET_NOTE, handle
from hypothesis import given
from hypothesis import strategies as st

from devops_api.apidocs.commands import create_command, quote_command
from devops_api.http.operations import Example
from devops_api.http.routes import Route


def test_command_fills_path_and_query() -> None:
    route = Route("GET", "/notes/{id}", None, handle, GET_NOTE)
    example = Example("x", "", 200, {"id": "7"}, {"tag": ["a", "b c"]}, {"If-None-Match": '"1"'})
    assert create_command(route, example, "http://h") == [
        *("curl", "-i", "http://h/notes/7?tag=a&tag=b+c"),
        *("-H", 'If-None-Match: "1"'),
    ]


def test_command_names_its_method_unless_curl_implies_it() -> None:
    example = CREATE_NOTE.examples[0]
    post = create_command(Route("POST", "/notes", None, handle, CREATE_NOTE), example, "http://h")
    assert post == [
        *("curl", "-i", "http://h/notes"),
        *("-H", "Content-Type: application/json", "--data-binary", '{"text":"Buy bulbs"}'),
    ]
    put = create_command(Route("PUT", "/notes", None, handle, CREATE_NOTE), example, "http://h")
    assert put[:5] == ["curl", "-i", "-X", "PUT", "http://h/notes"]


@given(st.lists(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_shell_reads_a_quoted_command_as_it_was(arguments: list[str]) -> None:
    command = f"printf '%s\\0' {quote_command(['-', *arguments, '-H', 'x'])}"
    output = subprocess.run(["sh", "-c", command], check=True, capture_output=True).stdout.decode()
    assert output.split("\0")[:-1] == ["-", *arguments, "-H", "x"]
