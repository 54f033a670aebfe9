"""OpenAPI and the docs page, generated from the routes of any domain. Imports `http` and below."""
