# Usage: lint.sh FINDINGS SUMMARY SCRIPT…: each script must parse and stop at its first error.
set -eu
findings=$1 summary=$2
shift 2
: > "$findings"
for script in "$@"; do
  sh -n "$script" && syntax=ok || syntax=broken
  grep -q '^set -eu$' "$script" && strict=ok || strict=missing
  echo "$script syntax=$syntax strict=$strict" >> "$findings"
done
echo "$# scripts, $(grep -c -e broken -e missing "$findings" || true) findings" > "$summary"
