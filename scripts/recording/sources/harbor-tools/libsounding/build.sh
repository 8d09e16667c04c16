mkdir -p "$out/lib"
{ echo "# libsounding $version"; cat "$src/sounding.sh"; } > "$out/lib/sounding.sh"
