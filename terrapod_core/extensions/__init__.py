"""What plugins add to the running server, joined to it: their routes, jobs, say about runs, additions to workspaces, and tables."""
