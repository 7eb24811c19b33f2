"""Takes a plan's JSON apart and leaves out what is sensitive, in a process of its own.

A plan of thousands of resources takes seconds and many times its own size in memory. In the server both would be everybody's:
`python -m terrapod_core.redaction` has its own, with limits, and knows nothing but what it is given on standard input.
"""
