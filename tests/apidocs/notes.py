"""A tiny domain, two routes that keep notes: the documents must work for it as they do for items."""

from typing import Final

from aiohttp import web

from devops_api.apidocs.documents import Documents
from devops_api.apidocs.guide import Command, Convention, Guide, Limit, Section
from devops_api.apidocs.schema import create_object
from devops_api.errors import NotFoundError, ProblemError
from devops_api.http.operations import BODY_PROBLEMS, IF_NONE_MATCH, Example, Operation, Parameter, Response
from devops_api.http.routes import Route
from devops_api.identity import Identity
from devops_api.settings.service import ServiceSettings

JSON: Final = "application/json"
IDENTITY: Final = Identity("notes", "0.1.0", "notes", "NOTES_")
NOTE: Final = {"id": "7", "text": "Buy bulbs"}
SETTINGS: Final = ServiceSettings(port=8123, max_body_bytes=2048, request_timeout_s=2.5, max_in_flight=77)
SCHEMAS: Final = {
    "NewNote": create_object(text={"type": "string"}),
    "Note": create_object(id={"type": "string"}, text={"type": "string"}),
}


class NoteLockedError(ProblemError):
    """Another user edits the note."""

    status = 423
    title = "Note locked"
    explanation = "Another user edits the note. Try again later."


class ForeignError(ProblemError):
    """A problem that no route of this service names."""

    status = 418
    title = "Foreign problem"
    explanation = "It belongs to another service."


CREATE_NOTE: Final = Operation(
    "createNote",
    "Notes",
    "Create a note",
    "Stores a `text`.",
    bodies={JSON: "NewNote"},
    responses=(Response(201, "The note.", {JSON: "Note"}, ("Location", "X-Note-Length")),),
    problems=(NoteLockedError, *BODY_PROBLEMS),
    examples=(Example("first", "A short note", 201, body={"text": "Buy bulbs"}, response=NOTE),),
)
GET_NOTE: Final = Operation(
    "getNote",
    "Notes",
    "Get a note",
    "Returns the note.",
    parameters=(
        Parameter("id", "path", {"type": "string"}, "The note's number."),
        Parameter("shape", "query", {"enum": ["plain", "rich"], "default": "plain"}, "How to format the `text`."),
        IF_NONE_MATCH,
    ),
    responses=(Response(200, "The note.", {JSON: "Note"}, ("ETag",)), Response(304, "Not modified.")),
    problems=(NotFoundError,),
    examples=(Example("rich", "As rich text", 200, {"id": "7"}, {"shape": "rich"}, response=NOTE),),
)


async def handle(_: web.Request) -> web.Response:
    """Stand for a handler; the documents never call one."""
    return web.Response()


ROUTES: Final = (
    Route("GET", "/notes/{id}", "read", handle, GET_NOTE),
    Route("POST", "/notes", "write", handle, CREATE_NOTE),
)
GUIDE: Final = Guide(
    title="The notes API",
    summary="Keeps notes.",
    lead="Write `text` down.",
    commands=(Command("Write a note", 'curl {base_url}/notes -d \'{"text": "Buy bulbs"}\''),),
    conventions=(Convention("Order", "Notes have `no` order."),),
    limits=(Limit("Length of a note", "80 characters", (NoteLockedError,)),),
    sections=(Section("note", "What a note is", "<p>A <em>text</em>.</p>", schemas=("NewNote",)),),
)


def create_documents() -> Documents:
    """Create the documents of the two routes."""
    return Documents(IDENTITY, ROUTES, SCHEMAS, GUIDE, SETTINGS)
