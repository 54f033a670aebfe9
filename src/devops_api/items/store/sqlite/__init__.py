"""The embedded store: SQLite in one file."""
