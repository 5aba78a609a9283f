"""HTTP client of providers: rate limits, request files, response files."""
