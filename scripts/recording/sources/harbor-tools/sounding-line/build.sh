mkdir -p "$out/bin"
sed -e "s,@version@,$version,g" -e "s,@libsounding@,$libsounding,g" "$src/sounding-line.in" > "$out/bin/sounding-line"
chmod 555 "$out/bin/sounding-line"
