"""Who uses what: the workspaces whose runs used a version, and how often it was downloaded, and by whom."""
