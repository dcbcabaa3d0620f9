"""Files: work that blocks, done in a few threads, and paths that stay inside their folder."""
