"""Caches of engines, providers and modules that others publish: fetched once, verified, kept, and good without the internet.

addresses   source addresses as people write them, checked and brought into one form
upstreams   which plugin answers for an address, and whether anybody may be asked at all
indexes     which versions there are, remembered
releases    the signed sums of one version, verified once and pinned for ever
engines     which terraform or tofu is meant, and where its zip is fetched from
warming     engines brought into the cache before anybody needs them, and out of it
keys        which keys may sign, beside those of the operator's settings
filling     one download for all who wait for it, passed on while it comes, completed only once it is verified
providers   what terraform asks about providers, by both protocols; `modules` likewise
bringing    releases that a bundle brought, verified as if they had come from upstream
care        how large the caches may become, and what goes first
"""
