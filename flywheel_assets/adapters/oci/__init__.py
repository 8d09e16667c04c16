"""OCI image layouts and registries, as staging caches and as durable surfaces (image-spec, distribution-spec 1.1)."""
