"""Opening what is signed: DSSE envelopes, Sigstore bundles and image signatures, by keys and keyless, offline."""
