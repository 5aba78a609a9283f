"""The operation contract: what an operation author imports."""
