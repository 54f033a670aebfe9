"""Settings: read from the environment once, checked together. Imports only `errors`."""
