"""The plain way of each job, written from the description of Chen et al. 2019: what ours is measured against."""
