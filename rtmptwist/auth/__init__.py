"""Who may connect, publish and play."""
