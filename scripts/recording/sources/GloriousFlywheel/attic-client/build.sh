mkdir -p "$out/bin"
printf '#!/bin/sh\necho "attic-client 0.1.0: a stand-in that talks to no server"\n' > "$out/bin/attic"
chmod 555 "$out/bin/attic"
