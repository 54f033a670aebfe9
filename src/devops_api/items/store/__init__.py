"""The store of items: its protocol, its metering, and one package for each database."""
