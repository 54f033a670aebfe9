"""A log that writes to a pipe, whose reader decides when to read."""

import json
import os
import threading
from typing import Any

from devops_api.items.events import EVENTS
from devops_api.logs.writer import open_logs


class Pipe:
    """The item service's log on one end of a pipe. Nothing is read before the log is closed."""

    def __init__(self, log_format: str = "json", level: str = "debug") -> None:
        self.reading, self.writing = os.pipe()
        self.logs = open_logs(level, log_format, self.writing, EVENTS)

    def read_all(self) -> bytes:
        """Close the log; return everything that it wrote."""
        parts: list[bytes] = []

        def read() -> None:
            while part := os.read(self.reading, 1 << 20):
                parts.append(part)

        reader = threading.Thread(target=read)
        reader.start()
        self.logs.close(5)
        os.close(self.writing)
        reader.join()
        os.close(self.reading)
        return b"".join(parts)

    def read_lines(self) -> list[dict[str, Any]]:
        """Close the log; return the documents of its lines."""
        return [json.loads(line) for line in self.read_all().splitlines()]
