"""The entry point. Containers start a process for each probe, so probes run before anything else is imported."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 1 if the work failed, 2 if the call or the settings are wrong."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in (["healthcheck"], ["ping"]) and not {"-h", "--help"} & set(words):
        from devops_api.cli.probe import run_probe  # noqa: PLC0415 - see the module's docstring

        return run_probe(words)
    from devops_api.cli.commands import run  # noqa: PLC0415

    return run(words)


if __name__ == "__main__":
    sys.exit(main())
