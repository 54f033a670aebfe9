"""The entry point. Containers start a process for each probe, so probes run without importing anything else."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 if it failed, 2 if the arguments or the settings are invalid."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] in (["healthcheck"], ["ping"]) and not {"-h", "--help"} & set(arguments):
        from devops_api.cli.probe import run_probe  # noqa: PLC0415 - see the module's docstring

        return run_probe(arguments)
    from devops_api.cli.commands import run  # noqa: PLC0415

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
