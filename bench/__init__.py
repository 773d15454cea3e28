"""The benchmark: drives any tus server by URL and process ids, and compares them in one run."""
