"""Playing files: reading them in threads, for many at once; pace; one viewing of one."""
