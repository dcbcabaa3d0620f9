"""Who publishes what and who takes it: registry, applications, streams, fan-out."""
