"""What is in the caches, carried to a server that reaches no upstream: one signed file, written on one side and loaded on the other.

manifest    what a bundle says it holds
layout      which byte of the file is what: a manifest leaves nothing open
keys        the key that this server signs with, and those that it trusts
reading     a file, verified from its first byte to its last
wishes      what is asked for: engines, providers and modules, by name, by lock files, or by workspaces
configuration  what a workspace's configuration calls and locks
gathering   brings what is missing into the cache, and says what all of it is
writing     the file, on disk only when it is whole, gone on with when it was interrupted
loading     verifies a bundle, and loads its releases one by one, each of them whole or not at all
"""
