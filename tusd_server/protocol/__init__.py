"""The tus 1.0 protocol without a socket: header text in, values out, and back."""
