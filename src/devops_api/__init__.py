"""An async item service that shows everything that happens in it."""

__version__ = "1.0.0"
