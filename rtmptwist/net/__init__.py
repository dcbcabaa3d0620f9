"""Sockets: Twisted protocols, writers, endpoints and the client."""
