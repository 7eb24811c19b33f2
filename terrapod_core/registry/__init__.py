"""The private registry: modules, providers, and what is understood of them.

What lies in this folder itself is the same for modules and providers: version numbers (`versions`), names (`names`), the columns of
items and versions (`models`), who may publish what (`publishing`), changing an item (`documents`, `changes`), deprecated and revoked
versions (`lifecycle`), the documents of versions that terraform asks for (`listings`), and what all of that is on the wire
(`resources`, `item_routes`).

Nothing is imported here: `registry.contents` is a program too, and starts without the rest of the server.
"""
