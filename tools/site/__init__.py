"""The documentation as a site with search, built from docs/ by Zensical: `python -m tools.site`."""
