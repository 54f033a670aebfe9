"""OpenTelemetry for an aiohttp service: metrics with exemplars, sampled traces, `/metrics`, OTLP.

Knows no domain; imports `logs` and `identity`. `middleware` instruments any application by itself.
"""
