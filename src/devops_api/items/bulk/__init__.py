"""Import and export of items as streams of NDJSON or CSV."""
