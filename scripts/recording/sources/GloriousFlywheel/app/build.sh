mkdir -p "$out/share/runner-dashboard"
for page in "$src"/static/*; do
  install -m 444 "$page" "$out/share/runner-dashboard/"
done
