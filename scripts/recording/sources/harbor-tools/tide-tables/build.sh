mkdir -p "$out/share/tide-tables"
install -m 444 "$src/constituents.csv" "$out/share/tide-tables/constituents.csv"
echo "$version" > "$out/share/tide-tables/VERSION"
