"""Schema migrations."""

HEAD = "0020_order_of_inputs"
"""The newest revision. Servers and workers refuse an older one, and a newer one that does not accept them."""

OLDEST_COMPATIBLE = "0008_access"
"""The oldest revision whose code works on the schema of HEAD. Each upgrade stores it in `schema_compatibility`.

A migration that drops, renames or narrows what earlier code uses raises it. CONTRIBUTING.md has the rule.
"""
