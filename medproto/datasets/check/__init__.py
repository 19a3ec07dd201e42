"""What a manifest holds, and what is wrong with it."""
