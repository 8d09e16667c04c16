mkdir -p "$out/share/depth-charts"
install -m 444 "$src/soundings.csv" "$out/share/depth-charts/soundings.csv"
sort -t, -k3,3n "$src/soundings.csv" | head -n 2 | tail -n 1 > "$out/share/depth-charts/shallowest.csv"
