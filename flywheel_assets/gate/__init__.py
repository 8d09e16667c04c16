"""The clean-derivation gate: one small function per rule, ``evaluate`` and ``explain``.

Pure: it takes an evidence bundle, the catalogue and ``now``. The rules stand in one file per phase;
``evaluate.RULES`` is their order.
"""
