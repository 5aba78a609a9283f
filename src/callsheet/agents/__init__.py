"""A server of the Model Context Protocol (MCP): an agent uses a Callsheet server through its tools.

It is a client of the HTTP API, with an address and a key, and has no other access.
"""
