"""What a domain adds to the docs page besides its operations."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from devops_api.errors import ProblemError


class Command(NamedTuple):
    """A shell command to start with; `{base_url}` in its text becomes the service's URL."""

    summary: str
    text: str


class Section(NamedTuple):
    """A section of its own, with its HTML. Operations whose body has one of `schemas` link to it."""

    id: str
    title: str
    html: str
    schemas: Collection[str] = ()


class Convention(NamedTuple):
    """A rule that holds for several operations: a term and its explanation."""

    term: str
    text: str


class Limit(NamedTuple):
    """A row of the table of limits: a quantity, its limit, and the problems of a request that exceeds it."""

    subject: str
    value: str
    problems: Sequence[type[ProblemError]] = ()


class Guide(NamedTuple):
    """What a domain adds to the docs page. Texts may contain `code`. The default title is the service's name."""

    title: str = ""
    summary: str = ""
    lead: str = ""
    commands: Sequence[Command] = ()
    conventions: Sequence[Convention] = ()
    limits: Sequence[Limit] = ()
    sections: Sequence[Section] = ()
