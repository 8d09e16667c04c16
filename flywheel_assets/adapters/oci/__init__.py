"""OCI image layouts as staging caches and as durable surfaces (image-spec 1.1, distribution-spec 1.1)."""
