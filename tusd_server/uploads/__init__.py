"""What an upload may do next."""
