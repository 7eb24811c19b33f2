"""The private registry. Nothing is imported here: `registry.contents` is a program too, and starts without the rest of the server."""
