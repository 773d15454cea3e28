"""What happens to a file after its last byte: checks, metadata, thumbnails, records."""
