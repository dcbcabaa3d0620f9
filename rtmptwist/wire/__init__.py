"""RTMP without I/O: handshake, chunks, messages, commands, sessions. Bytes in, events out."""
