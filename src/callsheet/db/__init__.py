"""The database: its schema, its statements, the connections to it."""
