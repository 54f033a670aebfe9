"""Assemble a service from a domain's routes; listen, drain, stop. The top of the chassis; knows no domain."""
