"""What one shows of a film before it is played. Most of it runs in processes of its own, see `thumbnails` there."""
