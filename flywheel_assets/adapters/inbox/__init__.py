"""Where builders leave documents, as ``*.json`` files: a folder, or a prefix in S3."""
