"""What is served over HTTP: the tunnel first of all. One `site` for each listener."""
