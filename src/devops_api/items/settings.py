"""The item service's name, and the settings that it adds to those of every service."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta

from devops_api import __version__
from devops_api.identity import Identity
from devops_api.settings.reading import read_settings
from devops_api.settings.service import ServiceSettings

IDENTITY: Final = Identity("devops-api", __version__, "items", "DEVOPS_API_")


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """Every setting of the item service."""

    database_url: Annotated[
        str,
        Meta(
            pattern="^sqlite:///.*[^/]",
            description="database of the items",
            extra={"accepts": "sqlite:///relative/file or sqlite:////absolute/file"},
        ),
    ] = "sqlite:///data/items.db"
    export_timeout_s: Annotated[float, Meta(ge=0.01, le=86400, description="longest duration of an export")] = 300.0

    @property
    def database_path(self) -> Path:
        """The file that the SQLite URL names."""
        return Path(self.database_url.removeprefix("sqlite:///"))


def read_item_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings of the item service. SettingsError names every invalid variable."""
    return read_settings(Settings, environment, IDENTITY.settings_prefix)
