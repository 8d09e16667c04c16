"""Bazel's disk cache as a source, and Bazel's execution log as the origin of receipts."""
