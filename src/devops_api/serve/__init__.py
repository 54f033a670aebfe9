"""Assemble a service from a domain's routes, listen, drain and stop. Imports every package of the chassis; knows no domain."""
