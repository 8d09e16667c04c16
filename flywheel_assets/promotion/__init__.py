"""The use cases, free of Dagster: intake, ledger, assembling, judging, publishing, report, verification.

They talk to ports only; Dagster and the command line both call these, so that both always do the same.
"""
