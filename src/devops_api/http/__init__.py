"""HTTP: server, routes, handler wrapper, problems, admission, access, bodies, probes, faults. Knows no domain."""
