mkdir -p "$out/bin"
for check in format lint links; do
  printf '#!/bin/sh\n# ci-toolchain %s: runs the %s step of the pipeline.\nexec sh "./ci/%s.sh" "$@"\n' \
    "$version" "$check" "$check" > "$out/bin/ci-$check"
  chmod 555 "$out/bin/ci-$check"
done
