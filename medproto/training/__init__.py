"""Training in three stages: descent, projection, convex last layer."""
