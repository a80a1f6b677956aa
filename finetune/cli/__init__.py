"""The command line: a client of the HTTP API, of this installation or any other. It knows no Django."""
