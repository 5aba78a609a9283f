"""Stored workflows that come with Callsheet: graphs, their inputs, and what they need on a server."""
