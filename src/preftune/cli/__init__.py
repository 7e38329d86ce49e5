"""The command line: parse, call one typed function, print. One file for each command."""
