"""What platform admins and auditors look at: the record of who did what."""
