"""Who supplies streams that nobody publishes."""
