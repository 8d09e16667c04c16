"""What things are: digests, builds, receipts, artifacts, evidence, verdicts, publications.

Pure: standard library, pydantic and canonical JSON only. No I/O, no clock, no randomness.
"""
