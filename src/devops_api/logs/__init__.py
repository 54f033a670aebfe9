"""The log: JSON or console lines of catalogued events. Imports only `errors`."""
