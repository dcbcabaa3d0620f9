"""Who is asked, and told, outside of this process: HTTP servers and programs."""
