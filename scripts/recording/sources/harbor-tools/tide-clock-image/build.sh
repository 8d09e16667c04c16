# An OCI image layout without a daemon: one layer, which is the closure of tide-clock.
export HOME=$PWD
tar --create --file=layer.tar --sort=name --mtime=@1 --owner=0 --group=0 --numeric-owner \
  --directory=/ "${tideClock#/}" "${tideTables#/}"
umoci init --layout "$out"
umoci new --image "$out:latest"
umoci raw add-layer --image "$out:latest" --history.created "$created" \
  --history.created_by "nix build .#tide-clock-image" layer.tar
umoci config --image "$out:latest" --no-history --os linux --architecture amd64 --created "$created" \
  --config.entrypoint "$tideClock/bin/tide-clock" \
  --config.label "org.opencontainers.image.title=tide-clock" \
  --config.label "org.opencontainers.image.version=$version"
umoci gc --layout "$out"
