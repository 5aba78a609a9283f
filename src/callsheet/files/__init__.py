"""File storage, downloads, and file metadata."""
