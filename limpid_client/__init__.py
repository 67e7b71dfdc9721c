"""A typed Python client of the REST API (docs/python-client.md). Uses the public endpoints only."""
