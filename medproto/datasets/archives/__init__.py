"""Published archives, folders, zips and servers as manifests."""
