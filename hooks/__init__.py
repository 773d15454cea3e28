"""What others are told, and asked, while an upload lives."""
