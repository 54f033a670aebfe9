"""Previews of the dashboards without a Grafana; see `__main__`."""
