mkdir -p "$out"
echo "Nobody said what this is for." > "$out/README"
