"""Who may do what: API keys, read tokens, users, sessions, and the audit log."""
