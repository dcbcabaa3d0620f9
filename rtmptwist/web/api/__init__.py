"""
`/api/v1`: what the server does, as JSON, and what operators may have it do.

A module for each noun has its routes, how they are answered, and what is shown of it; `resource`
serves them, and `openapi` describes them.
"""
