"""The problems that only the item service has."""

from devops_api.errors import ProblemError


class ImportStoppedError(ProblemError):
    """An import stopped at its first invalid line, as requested; the members report what is stored."""

    status = 422
    title = "Import stopped"
    explanation = (
        "The import stopped at an invalid line, as `on_error=abort` requests. Everything up to "
        "`stored_through_line` is stored. Correct the line and send the rest, or send everything with `upsert=sku`."
    )
