"""What goes over a connection, in words for people and in JSON: captures, and sessions that run."""
