"""What is in a module's archive, understood without running anything.

`reader.ModuleReader` is the server's door; `python -m terrapod_core.registry.contents` is the program behind it, and what that
imports starts without the rest of the server.
"""
