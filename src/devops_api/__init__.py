"""A chassis for observable async HTTP services, and the item service that is built on it."""

__version__ = "1.0.0"
