"""OpenTelemetry for an aiohttp service: metrics with exemplars, sampled traces, `/metrics`, OTLP.

Knows no domain. `middleware` instruments any aiohttp application without the rest of the chassis.
"""
