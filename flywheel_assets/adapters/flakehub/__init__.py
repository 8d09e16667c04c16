"""FlakeHub: releases as anonymous consumers see them, and the workflow that alone can publish them."""
