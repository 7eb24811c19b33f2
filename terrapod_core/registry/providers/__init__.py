"""Private providers, and the keys that their publishers sign them with."""
