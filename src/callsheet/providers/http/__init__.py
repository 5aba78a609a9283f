"""HTTP client of providers: submissions, polls, downloads, input and output files."""
