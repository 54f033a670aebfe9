"""The command line: parse the arguments, run one command, return its exit code. The only package that prints."""
