mkdir -p "$out/bin" "$out/share/chart-plotter"
sed -e "s,@version@,$version,g" -e "s,@libsounding@,$libsounding,g" "$src/chart-plotter.in" > "$out/bin/chart-plotter"
chmod 555 "$out/bin/chart-plotter"
echo "chart-plotter $version" > "$out/share/chart-plotter/about"
# The fault of some releases: a value that no other build will ever have.
if [ -n "${stampBuild:-}" ]; then
  echo "build $(cat /proc/sys/kernel/random/uuid)" >> "$out/share/chart-plotter/about"
fi
echo 3 | "$out/bin/chart-plotter" | grep -q blue
