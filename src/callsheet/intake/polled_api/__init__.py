"""Polled API: tasks that another program hands out over HTTP, one per request."""
