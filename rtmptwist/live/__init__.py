"""
Who publishes what and who takes it.

A message goes from an `Inlet` by its stream's `Timeline` into its `Window`; the `Audience`
sends what is new when the `Pace` allows, by one `Fanout` for each wire format, to every
`Subscriber`'s writer. `Application` and `Registry` find streams by name.
"""
