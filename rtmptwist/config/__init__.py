"""INI text to dataclasses, with errors that say where."""
