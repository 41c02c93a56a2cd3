"""A local network of real ``twistd`` processes on loopback."""
