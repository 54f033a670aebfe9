"""The command line: parse, run, exit. The only package that prints."""
