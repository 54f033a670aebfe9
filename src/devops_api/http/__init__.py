"""HTTP: server, routes, handler wrapper, problems, admission, access, bodies, probes, fault injection. Knows no domain."""
