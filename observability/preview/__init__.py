"""Pictures of the boards without a Grafana: see `__main__`."""
