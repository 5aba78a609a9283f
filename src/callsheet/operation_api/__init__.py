"""The operation contract, the catalog of operations and its schemas."""
