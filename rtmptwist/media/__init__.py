"""The first bytes of audio and video payloads, and FLV files. Knows no transport."""
