"""Releases of providers and engines as their publishers make them: zips, `SHA256SUMS`, and signatures over those. No network, no rows.

versions  their numbers, semantic and nothing else
files     what the files of a release are called
zips      looks into the zip of a provider
sums      reads and writes `SHA256SUMS`
openpgp   keys and detached signatures, as terraform uses them
renewed   signatures that are older than the copy of the key at hand
protocol  the documents in which terraform reads about them
"""
