"""How the tables of the Sync API came to be, revision by revision."""
