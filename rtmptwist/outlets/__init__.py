"""Who takes the streams of an application besides viewers: recorders."""
