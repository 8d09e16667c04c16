"""One file or folder per protocol. An adapter implements a port and turns foreign errors into ours."""
