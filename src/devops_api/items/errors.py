"""The problems that only the item service has."""

from devops_api.errors import ProblemError


class ImportStoppedError(ProblemError):
    """An import stopped at its first invalid line, as requested; the members say what is stored."""

    status = 422
    title = "Import stopped"
    explanation = (
        "The import met an invalid line and was asked to stop there (`on_error=abort`). Everything up to "
        "`stored_through_line` is stored. Correct the line and send the rest, or send everything with `upsert=sku`."
    )
