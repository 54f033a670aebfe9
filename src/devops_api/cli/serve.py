"""`devops-api serve`: run the service."""

import argparse
import os

from devops_api.app import create_service
from devops_api.items.events import EVENTS
from devops_api.items.settings import read_item_settings
from devops_api.serve.lifecycle import run_service


def run_serve(_: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    run_service(create_service, read_item_settings(os.environ), os.environ, EVENTS)
